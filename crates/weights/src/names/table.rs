//! The names themselves: `(hub, GGUF)`. Where several hub names have one GGUF name, the commonest
//! comes first.

/// What layers are called in front of their number.
pub(super) const LAYERS: &[&str] = &[
    "model.layers.",
    "model.language_model.layers.",
    "language_model.model.layers.",
    "transformer.h.",
    "transformer.encoder.layers.",
    "backbone.layers.",
];

/// What some call the folder of a mixer's maps, and what most do.
pub(super) const MIXER: [&str; 2] = ["attention.", "self_attn."];

/// Names outside layers, without `.weight`.
pub(super) const OUTSIDE: &[(&str, &str)] = &[
    ("model.embed_tokens", "token_embd"),
    ("model.word_embeddings", "token_embd"),
    ("model.tok_embeddings", "token_embd"),
    ("model.language_model.embed_tokens", "token_embd"),
    ("language_model.model.embed_tokens", "token_embd"),
    ("transformer.wte", "token_embd"),
    ("transformer.embedding.word_embeddings", "token_embd"),
    ("backbone.embeddings", "token_embd"),
    ("model.norm", "output_norm"),
    ("model.language_model.norm", "output_norm"),
    ("language_model.model.norm", "output_norm"),
    ("transformer.ln_f", "output_norm"),
    ("transformer.encoder.final_layernorm", "output_norm"),
    ("backbone.norm_f", "output_norm"),
    ("lm_head", "output"),
    ("output", "output"),
    ("language_model.lm_head", "output"),
    ("transformer.output_layer", "output"),
    // Divisors of rope frequencies: no hub checkpoint has them, so they keep their names.
    ("rope_freqs", "rope_freqs"),
    ("rope_factors_short", "rope_factors_short"),
    ("rope_factors_long", "rope_factors_long"),
];

/// Names within a layer and within `blk.{n}.`, without `.weight` or `.bias`.
pub(super) const LAYER: &[(&str, &str)] = &[
    ("input_layernorm", "attn_norm"),
    ("attention_norm", "attn_norm"),
    ("ln_1", "attn_norm"),
    ("norm", "attn_norm"),
    // Before the FFN in most families; after attention in those that call it so and have no
    // `ffn_norm`.
    ("post_attention_layernorm", "ffn_norm"),
    ("post_attention_layernorm", "post_attention_norm"),
    ("ffn_norm", "ffn_norm"),
    ("ln_2", "ffn_norm"),
    ("post_self_attn_layernorm", "post_attention_norm"),
    ("post_mlp_layernorm", "post_ffw_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.qkv_proj", "attn_qkv"),
    ("attention.query_key_value", "attn_qkv"),
    ("self_attention.query_key_value", "attn_qkv"),
    ("attn.c_attn", "attn_qkv"),
    ("self_attn.o_proj", "attn_output"),
    ("attention.dense", "attn_output"),
    ("attention.wo", "attn_output"),
    ("self_attention.dense", "attn_output"),
    ("attn.c_proj", "attn_output"),
    ("self_attn.out_proj", "attn_output"),
    ("self_attn.g_proj", "attn_gate"),
    ("self_attn.g_proj", "ssm_g_a"),
    ("self_attn.output_gate", "attn_gate"),
    ("self_attn.norm", "attn_norm_2"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.query_layernorm", "attn_q_norm"),
    ("attention.query_layernorm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("self_attn.key_layernorm", "attn_k_norm"),
    ("self_attn.k_rope_only_layernorm", "attn_k_norm"),
    ("attention.key_layernorm", "attn_k_norm"),
    ("self_attn.q_a_proj", "attn_q_a"),
    ("self_attn.q_a_layernorm", "attn_q_a_norm"),
    ("self_attn.q_b_proj", "attn_q_b"),
    ("self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa"),
    ("self_attn.kv_a_layernorm", "attn_kv_a_norm"),
    ("self_attn.kv_b_proj", "attn_kv_b"),
    // The two halves of `kv_b_proj` as newer converters split it: no hub checkpoint has them.
    ("self_attn.k_b_proj", "attn_k_b"),
    ("self_attn.v_b_proj", "attn_v_b"),
    ("self_attn.indexer.wq_b", "indexer.attn_q_b"),
    ("self_attn.indexer.wk", "indexer.attn_k"),
    ("self_attn.indexer.k_norm", "indexer.k_norm"),
    ("self_attn.indexer.weights_proj", "indexer.proj"),
    ("mlp.gate_proj", "ffn_gate"),
    ("feed_forward.w1", "ffn_gate"),
    ("mlp.w2", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    // Gate above up in one tensor: converters that keep it so call it `ffn_up`.
    ("mlp.gate_up_proj", "ffn_up"),
    ("mlp.dense_h_to_4h", "ffn_up"),
    ("feed_forward.w3", "ffn_up"),
    ("mlp.w1", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
    ("mlp.dense_4h_to_h", "ffn_down"),
    ("feed_forward.w2", "ffn_down"),
    ("mlp.c_proj", "ffn_down"),
    ("mlp.gate", "ffn_gate_inp"),
    ("mlp.gate.wg", "ffn_gate_inp"),
    ("mlp.router.gate", "ffn_gate_inp"),
    ("moe.gate", "ffn_gate_inp"),
    ("block_sparse_moe.gate", "ffn_gate_inp"),
    ("mlp.shared_expert_gate", "ffn_gate_inp_shexp"),
    // Recurrent mixers.
    ("mixer.in_proj", "ssm_in"),
    ("mixer.conv1d", "ssm_conv1d"),
    ("mixer.norm", "ssm_norm"),
    ("mixer.out_proj", "ssm_out"),
    ("linear_attn.conv1d", "ssm_conv1d"),
    ("linear_attn.norm", "ssm_norm"),
    ("linear_attn.out_proj", "ssm_out"),
    ("linear_attn.in_proj_qkv", "attn_qkv"),
    ("linear_attn.in_proj_z", "attn_gate"),
    ("linear_attn.in_proj_qkvz", "ssm_in"),
    ("linear_attn.in_proj_ba", "ssm_ba"),
    ("linear_attn.in_proj_a", "ssm_alpha"),
    ("linear_attn.in_proj_b", "ssm_beta"),
    ("self_attn.q_conv1d", "ssm_conv1d_q"),
    ("self_attn.k_conv1d", "ssm_conv1d_k"),
    ("self_attn.v_conv1d", "ssm_conv1d_v"),
    ("self_attn.f_a_proj", "ssm_f_a"),
    ("self_attn.f_proj", "ssm_f_a"),
    ("self_attn.f_b_proj", "ssm_f_b"),
    ("self_attn.g_a_proj", "ssm_g_a"),
    ("self_attn.g_b_proj", "ssm_g_b"),
    ("self_attn.b_proj", "ssm_beta"),
    ("self_attn.o_norm", "ssm_norm"),
    // Prediction layers after the last: carried by some files.
    ("eh_proj", "nextn.eh_proj"),
    ("embed_tokens", "nextn.embed_tokens"),
    ("enorm", "nextn.enorm"),
    ("hnorm", "nextn.hnorm"),
    ("shared_head.head", "nextn.shared_head_head"),
    ("shared_head.norm", "nextn.shared_head_norm"),
];

/// Whole names within a layer, for those whose endings do not correspond.
pub(super) const LAYER_WHOLE: &[(&str, &str)] = &[
    ("mlp.gate.e_score_correction_bias", "exp_probs_b.bias"),
    ("mlp.gate.e_score_correction_bias", "exp_probs_b"),
    ("mlp.gate.expert_bias", "exp_probs_b.bias"),
    ("mlp.expert_bias", "exp_probs_b"),
    ("mlp.moe_statics.e_score_correction_bias", "exp_probs_b.bias"),
    ("block_sparse_moe.e_score_correction_bias", "exp_probs_b.bias"),
    ("block_sparse_moe.gate.e_score_correction_bias", "exp_probs_b.bias"),
    ("moe.router_bias", "exp_probs_b.bias"),
    ("self_attn.sinks", "attn_sinks.weight"),
    ("self_attn.attention_sink_bias", "attn_sinks.weight"),
    ("mixer.A_log", "ssm_a"),
    ("mixer.D", "ssm_d"),
    ("mixer.dt_bias", "ssm_dt.bias"),
    ("linear_attn.A_log", "ssm_a"),
    ("linear_attn.dt_bias", "ssm_dt.bias"),
    ("self_attn.A_log", "ssm_a"),
    ("self_attn.dt_bias", "ssm_dt.bias"),
];

/// Names within a layer that converters split, with the names of the parts in the order of their
/// rows; the parts go on to [`LAYER`].
pub(super) const SPLIT: &[(&str, &[&str])] = &[
    ("self_attn.kv_b_proj", &["self_attn.k_b_proj", "self_attn.v_b_proj"]),
    ("self_attn.W_pack", QUERY_KEY_VALUE),
    ("self_attn.qkv_proj", QUERY_KEY_VALUE),
    ("attention.wqkv", QUERY_KEY_VALUE),
    ("attention.query_key_value", QUERY_KEY_VALUE),
    ("self_attention.query_key_value", QUERY_KEY_VALUE),
    ("mlp.gate_up_proj", &["mlp.gate_proj", "mlp.up_proj"]),
];
const QUERY_KEY_VALUE: &[&str] = &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"];

/// Folders of one FFN per expert.
pub(super) const EXPERTS: &[&str] = &["mlp.experts", "block_sparse_moe.experts", "moe.experts"];
/// Folders of the FFN that every token meets.
pub(super) const SHARED_EXPERT: &[&str] = &[
    "mlp.shared_experts",
    "mlp.shared_expert",
    "mlp.shared_mlp",
    "share_expert",
    "block_sparse_moe.shared_experts",
];
/// The maps of a gated FFN.
pub(super) const GATED: &[(&str, &str)] = &[
    ("gate_proj", "gate"),
    ("up_proj", "up"),
    ("down_proj", "down"),
    ("w1", "gate"),
    ("w3", "up"),
    ("w2", "down"),
];
pub(super) const FUSED: &str = "gate_up_proj";
pub(super) const FUSED_STACK: &str = "ffn_gate_up_exps";

pub(super) const ENDINGS: &[&str] = &[".weight", ".bias"];
