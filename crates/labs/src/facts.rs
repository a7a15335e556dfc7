//! What is known of labs and their models beyond how they compute: a file per lab, compiled in.

/// The files of facts: the name of each without its ending, and its text. The crate `catalog`
/// says what may stand in them.
pub const FACTS: &[(&str, &str)] = &[
    ("qwen", include_str!("../facts/qwen.toml")),
    ("deepseek", include_str!("../facts/deepseek.toml")),
    ("kimi", include_str!("../facts/kimi.toml")),
    ("glm", include_str!("../facts/glm.toml")),
    ("ernie", include_str!("../facts/ernie.toml")),
    ("hunyuan", include_str!("../facts/hunyuan.toml")),
    ("baichuan", include_str!("../facts/baichuan.toml")),
    ("yi", include_str!("../facts/yi.toml")),
    ("minimax", include_str!("../facts/minimax.toml")),
    ("step", include_str!("../facts/step.toml")),
    ("sensenova", include_str!("../facts/sensenova.toml")),
    ("dots", include_str!("../facts/dots.toml")),
    ("seed", include_str!("../facts/seed.toml")),
    ("pangu", include_str!("../facts/pangu.toml")),
    ("intern", include_str!("../facts/intern.toml")),
    ("ling", include_str!("../facts/ling.toml")),
    ("minicpm", include_str!("../facts/minicpm.toml")),
    ("mimo", include_str!("../facts/mimo.toml")),
    ("longcat", include_str!("../facts/longcat.toml")),
    ("kuaishou", include_str!("../facts/kuaishou.toml")),
    ("skywork", include_str!("../facts/skywork.toml")),
    ("telechat", include_str!("../facts/telechat.toml")),
    ("xverse", include_str!("../facts/xverse.toml")),
    ("orion", include_str!("../facts/orion.toml")),
    ("iquest", include_str!("../facts/iquest.toml")),
    ("applications", include_str!("../facts/applications.toml")),
];
