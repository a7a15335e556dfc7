//! Layers of experts, by the names that many labs share.

use crate::Config;
use crate::common::{dense, swiglu};
use crate::error::Result;
use baimo_blueprint::{
    Activation, Clamp, ClampOrder, Experts, Ffn, GroupLimit, GroupScore, Linear, Router, Scores,
    Shared, Tensor,
};

/// The commonest key of an expert's width.
pub const EXPERT_WIDTH: &str = "moe_intermediate_size";

/// More experts than this are a mistake and not a layer.
pub const EXPERTS_MAX: usize = 65_536;

/// The floor under the sum that chosen scores are divided by: it only keeps zero from zero.
pub const SUM_FLOOR: f32 = 1e-20;

/// How a configuration calls the sizes of its experts; a size may be a list with one for each
/// layer.
pub struct ExpertKeys {
    /// How many there are.
    pub count: &'static str,
    /// How many of them a token meets.
    pub active: &'static str,
    /// Width between an expert's maps.
    pub width: &'static str,
}

/// What most checkpoints call an expert's maps: gate, up, down.
pub const PROJ: [&str; 3] = ["gate_proj", "up_proj", "down_proj"];

/// Experts `{prefix}.mlp.experts.{e}` behind the router `{prefix}.mlp.gate`: softmax scores, taken
/// as they are, and nothing shared. `count_key` says how many there are.
pub fn experts(c: &Config, prefix: &str, count_key: &'static str) -> Result<Experts> {
    let keys = ExpertKeys { count: count_key, active: "num_experts_per_tok", width: EXPERT_WIDTH };
    experts_of(c, 0, &format!("{prefix}.mlp"), &keys, PROJ)
}

/// As [`experts`], in any folder and by any names.
pub fn experts_of(
    c: &Config,
    layer: usize,
    folder: &str,
    keys: &ExpertKeys,
    maps: [&str; 3],
) -> Result<Experts> {
    let count = c.at_most(keys.count, c.size_at(keys.count, layer)?, EXPERTS_MAX)?;
    let active = c.at_most(keys.active, c.size_at(keys.active, layer)?, count)?;
    let sizes = ExpertSizes { count, active, width: c.size_at(keys.width, layer)? };
    experts_sized(c, folder, sizes, maps)
}

/// The sizes of experts, however they were read.
pub struct ExpertSizes {
    /// How many there are.
    pub count: usize,
    /// How many of them a token meets.
    pub active: usize,
    /// Width between an expert's maps.
    pub width: usize,
}

/// As [`experts_of`], of these sizes.
pub fn experts_sized(
    c: &Config,
    folder: &str,
    ExpertSizes { count, active, width }: ExpertSizes,
    maps: [&str; 3],
) -> Result<Experts> {
    let hidden = c.size("hidden_size")?;
    let [gate, up, down] = maps;
    let map = |name: &str, outputs, inputs| {
        Tensor::new(format!("{folder}.experts.{{e}}.{name}.weight"), [count, outputs, inputs])
    };
    Ok(Experts {
        count,
        identities: 0,
        active,
        width,
        activation: Activation::Silu,
        clamp: None,
        router: Router {
            inner: None,
            logits: Linear::new(&format!("{folder}.gate"), count, hidden),
            deviation: None,
            scores: Scores::Softmax,
            bias: None,
            groups: None,
            spread: None,
            renormalize: None,
            scale: 1.0,
        },
        factors: None,
        gate: map(gate, width, hidden),
        up: map(up, width, hidden),
        down: map(down, hidden, width),
        shared: None,
    })
}

/// Dense in the first `first_k_dense_replace` layers, or in those `mlp_layer_types` says; experts
/// in the others, with a shared FFN where there is one.
pub fn first_dense(
    c: &Config,
    index: usize,
    prefix: &str,
    finish: impl Fn(&mut Experts) -> Result<()>,
) -> Result<Ffn> {
    c.only("moe_layer_freq", 1)?;
    let mut sparse = experts(c, prefix, "n_routed_experts")?;
    sparse.router.scale = c.float_or("routed_scaling_factor", 1.0)? as f32;
    let shared = c.count_or("n_shared_experts", 0)?;
    if shared > 0 {
        let name = format!("{prefix}.mlp.shared_experts");
        let dense = swiglu(c, &name, shared * sparse.width)?;
        sparse.shared = Some(Shared { dense, gate: None });
    }
    finish(&mut sparse)?;
    let dense = dense(c, prefix)?;
    let is_dense = !is_sparse(c, index, c.count_or("first_k_dense_replace", 0)?)?;
    Ok(if is_dense { dense } else { Ffn::Experts(sparse) })
}

/// The limit of `n_group` and `topk_group`; none where there is one group.
pub fn group_limit(c: &Config, score: GroupScore) -> Result<Option<GroupLimit>> {
    group_limit_of(c, c.size("n_routed_experts")?, score)
}

/// As [`group_limit`], of so many experts.
pub fn group_limit_of(c: &Config, experts: usize, score: GroupScore) -> Result<Option<GroupLimit>> {
    let (groups, kept) = (c.size_or("n_group", 1)?, c.size_or("topk_group", 1)?);
    if !experts.is_multiple_of(groups) || kept > groups || (groups > 1 && experts / groups < 2) {
        return Err(c.unsupported("n_group", format!("a divisor of {experts}, not below {kept}")));
    }
    // Experts outside the kept groups are never chosen.
    let key = "num_experts_per_tok";
    c.at_most(key, c.size(key)?, experts / groups * kept)?;
    Ok((groups > 1).then_some(GroupLimit { groups, kept, score }))
}

/// V3's FFN, which other labs took over: balanced without an auxiliary loss, by a selection bias
/// on sigmoid scores (arXiv:2408.15664).
pub fn noaux(c: &Config, index: usize, prefix: &str) -> Result<Ffn> {
    c.only("scoring_func", "sigmoid")?;
    c.only("topk_method", "noaux_tc")?;
    // Routers are computed in f32 in any case.
    c.waive(&["moe_router_dtype"]);
    first_dense(c, index, prefix, |experts| {
        sigmoid_balanced(experts, &format!("{prefix}.mlp.gate.e_score_correction_bias"));
        experts.router.groups = group_limit(c, GroupScore::BestTwo)?;
        experts.router.renormalize = sum_floor(c, true)?;
        Ok(())
    })
}

/// Sigmoid scores, renormalized; selection with a bias of that name besides.
pub fn sigmoid_balanced(experts: &mut Experts, bias: &str) {
    experts.router.scores = Scores::Sigmoid;
    experts.router.bias = Some(Tensor::new(bias, [experts.count]));
    experts.router.renormalize = Some(SUM_FLOOR);
}

/// `norm_topk_prob`: whether the chosen scores are divided by their sum.
pub fn sum_floor(c: &Config, default: bool) -> Result<Option<f32>> {
    sum_floor_of(c, "norm_topk_prob", default)
}

/// As [`sum_floor`], where another key says so.
pub fn sum_floor_of(c: &Config, key: &str, default: bool) -> Result<Option<f32>> {
    Ok(c.flag_or(key, default)?.then_some(SUM_FLOOR))
}

/// The limit that `key` lists for a layer, held after the activation; zero stands for none.
pub fn clamp_at(c: &Config, key: &str, layer: usize) -> Result<Option<Clamp>> {
    match c.float_at(key, layer)?.unwrap_or(0.0) as f32 {
        0.0 => Ok(None),
        limit if limit > 0.0 => Ok(Some(Clamp { limit, gate: ClampOrder::AfterActivation })),
        _ => Err(c.unsupported(key, "limits above zero, or zero for none")),
    }
}

/// Dense or with experts by the layer's word in `mlp_layer_types`; where there are none, dense in
/// the first `dense` layers.
pub fn is_sparse(c: &Config, layer: usize, dense: usize) -> Result<bool> {
    match c.texts("mlp_layer_types")?.get(layer) {
        Some(&"sparse") => Ok(true),
        Some(&"dense") => Ok(false),
        None => Ok(layer >= dense),
        Some(_) => Err(c.unsupported("mlp_layer_types", "dense or sparse for each layer")),
    }
}
