"""Released architectures that transformers has as a part of another: what to run in their place. The
checkpoint keeps the released names."""

import re

# A tower that text does not pass: the smallest there can be.
STEP_TOWER = dict(model_type="perception_encoder", width=32, layers=1, heads=2, num_channels=3,
                  image_size=32, patch_size=4, mlp_ratio=1.5, hidden_act="quick_gelu",
                  ls_init_value=0.1, layer_norm_eps=1e-05)


def step3p5(config):
    """Step-3.5-Flash is the text model of Step-3.7-Flash."""
    text = {key: value for key, value in config.items() if key not in ["architectures", "auto_map"]}
    return dict(architectures=["Step3p7ForConditionalGeneration"], model_type="step3p7",
                text_config=text, vision_config=STEP_TOWER, image_token_id=4, projector_bias=False,
                tie_word_embeddings=config.get("tie_word_embeddings", False))


TRANSLATIONS = {"Step3p5ForCausalLM": step3p5}


def translated(config):
    """The configuration for transformers: most are their own."""
    return TRANSLATIONS.get(config["architectures"][0], lambda config: config)(config)


def is_run(config, name):
    """Whether the released checkpoint has a tensor of the model that runs in its place."""
    beside = re.compile("vision|vit_|projector")
    return config["architectures"][0] not in TRANSLATIONS or not beside.search(name)
