//! What the command lines of `baimo pull`, `rm` and `prune` say.

use clap::Args;

/// `baimo pull`.
#[derive(Args, Debug)]
pub struct Pull {
    /// The models
    #[arg(required = true)]
    pub models: Vec<String>,
    /// Says what would be fetched, and fetches nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Prints a JSON object for each model, on a line of its own
    #[arg(long)]
    pub json: bool,
}

pub(super) const PULL: &str = "\
A model is hf:OWNER/REPO (Hugging Face) or ms:OWNER/REPO (ModelScope), behind which may follow
@REVISION and then :FILE or :QUANTIZATION; or a name of the catalog, and @QUANTIZATION behind it.

Examples:
  baimo pull hf:Qwen/Qwen3-0.6B              all that it is run with
  baimo pull hf:Qwen/Qwen3-8B-GGUF:q8_0    one quantization, with all parts of the file
  baimo pull ms:Qwen/Qwen3-0.6B              from ModelScope
  baimo pull qwen3:0.6b                      by its name in the catalog
  baimo pull hf:OWNER/REPO@REVISION:FILE     a file at a branch, tag or commit
  baimo pull --dry-run --json qwen3:0.6b     how much it would be, for scripts

What is broken off goes on where it stopped. Every file is compared with the hub's own hash.
Files lie where the hubs' libraries look for them (HF_HOME, HF_HUB_CACHE, MODELSCOPE_CACHE), so
that nothing is downloaded twice.

  HF_TOKEN, MODELSCOPE_API_TOKEN   for models behind a gate; each is shown to its hub alone
  HF_ENDPOINT                      another endpoint, asked instead of huggingface.co
  BAIMO_MIRRORS                    mirrors, separated by commas; the fastest is used [default:
                                   https://hf-mirror.com; none: no mirror]
  HTTPS_PROXY, ALL_PROXY           a proxy
  HF_HUB_OFFLINE=1                 asks nobody";

/// `baimo rm`.
#[derive(Args, Debug)]
pub struct Rm {
    /// The models, as `baimo list --local` names them
    #[arg(required = true)]
    pub models: Vec<String>,
    /// Says what would be removed, and removes nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

pub(super) const RM: &str = "\
Examples:
  baimo rm hf:Qwen/Qwen3-0.6B              all of the repository that is here
  baimo rm hf:Qwen/Qwen3-8B-GGUF:q8_0    one quantization of it
  baimo rm hf:OWNER/REPO@COMMIT            one revision of it
  baimo rm --dry-run qwen3:0.6b            how much that would free

Other programs that share the cache (huggingface_hub, modelscope) lose the model too.";

/// `baimo prune`.
#[derive(Args, Debug)]
pub struct Prune {
    /// Does not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Says what would be removed, and removes nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

pub(super) const PRUNE: &str = "\
Removes from the hubs' caches what no model needs: downloads that were broken off, snapshots of
commits that no branch or tag names any more, and bytes that no snapshot has. It says what, and
asks. Models that are being fetched are left alone.

Examples:
  baimo prune              says what could go, and asks
  baimo prune --dry-run    only says it
  baimo prune --yes        asks nothing, for scripts";
