//! What stands below the flags in each command's help: what else there is to know, and examples.
//! A test parses those.

pub(super) const RUN: &str = "\
Examples:
  baimo run                                    a chat with the built-in poet
  baimo run qwen3:0.6b                         a chat with a model of the catalog
  baimo run ./model.gguf 'Why is the sky blue?' --temperature 0
  baimo run hf:Qwen/Qwen3-8B-GGUF:q4_k_m --think off --context 16384
  baimo run ./Qwen3-8B --weights q4_k --memory 6G < question.txt";

pub(super) const SERVE: &str = "\
Examples:
  baimo serve qwen3:0.6b                       at http://127.0.0.1:8000, with a chat page
  baimo serve large=./Qwen3-8B small=qwen3:0.6b --weights q8_0
  baimo serve ./model.gguf --host 0.0.0.0 --api-key KEY --context 32768 --sequences 8
  baimo serve --print-config > baimo.toml      all that can be set up, as a file";

pub(super) const LOGITS: &str = "\
Examples:
  baimo logits ./model.gguf --ids 1,2,3 --greedy 8
  baimo logits ./folder --ids 1,2,3 --at 1,3 --weights f32 --kv f32
  baimo logits ./model.gguf --ids 1,2,3 --chunk 2 --no-cache";

pub(super) const BENCH: &str = "\
Examples:
  baimo bench ./model.gguf
  baimo bench ./model.gguf -p 512 -n 64 -d 0,4096 -b 1,8 -t 2
  baimo bench ./folder --weights q4_k --kv q8 --depth 32768 --fill --json
  baimo bench --limits                         what the machine gives at most";

pub(super) const SHOW: &str = "\
Examples:
  baimo show ./model             the architecture of a folder, with parameters and bytes
  baimo show hf:Qwen/Qwen3-8B    the same of a model that is not here
  baimo show seed-oss:36b        facts of a model in the catalog, each with its source
  baimo show yi:34b --json       the same as JSON";

pub(super) const LIST: &str = "\
Examples:
  baimo list --lab 小米 --open              what one lab gives away
  baimo list --runs --max-memory 16G        what runs here in 16 GiB, as q4_k
  baimo list --released-after 2026 --sort released --json
  baimo list --export models.dev > api.json";

pub(super) const PLAN: &str = "\
Examples:
  baimo plan ./model --context 32768 --users 4
  baimo plan model-Q4_K_M.gguf --memory 8G
  baimo plan hf:Qwen/Qwen3-30B-A3B-GGUF:q4_k_m --context 16384
  baimo plan qwen3:32b@q4_k
  baimo plan --probe
  baimo plan ./Big-Model --weights q4_k --machine h20 --plot plan.svg";

pub(super) const TOKENIZE: &str = "\
Examples:
  baimo tokenize ./model.gguf '百模'
  baimo tokenize qwen3:0.6b 'Hello there' --json";

pub(super) const CHAT_TEMPLATE: &str = "\
Examples:
  baimo chat-template ./model.gguf --messages chat.json
  baimo chat-template qwen3:0.6b --messages chat.json --think off --no-generation-prompt
  baimo chat-template ./folder --messages chat.json --template-variable date='\"2026-01-01\"'";

pub(super) const QUANTIZE: &str = "\
Types: f32 f16 bf16 q8_0 q6_k q5_k_m q5_k_s q5_1 q5_0 q4_k_m q4_k_s q4_1 q4_0 iq4_nl iq4_xs mxfp4
q3_k_m q2_k. They mean what llama.cpp means by them: the output map and some values and FFN maps get
more bits, norms and routers stay as they are, and rows that are no whole blocks get the next type.
`mxfp4` is for the experts of a mixture (all else in q8_0), or for all maps of a model without.

Examples:
  baimo quantize ./folder model-q4.gguf --type q4_k_m
  baimo quantize qwen3:0.6b qwen3-q6_k.gguf --type q6_k
  baimo quantize big-f16.gguf small.gguf --type q5_k_m --rule 'attn_v=q8_0' --rule 'ffn_down=q6_k'
  baimo quantize ./folder small.gguf --type iq4_xs --imatrix-from book.txt
  baimo quantize big-f16.gguf small.gguf --type q3_k_m --imatrix imatrix.gguf
  baimo quantize already-q8_0.gguf plain.gguf --type f16 --allow-requantize";

pub(super) const FIDELITY: &str = "\
The text is cut in chunks of --context tokens; of each, the second half is scored, as llama.cpp's
llama-perplexity does it with --kl-divergence, so that figures compare. Each chunk begins with what
the tokenizer puts before a text. Divergences are in nats, of B's distribution from A's.

Examples:
  baimo fidelity model-f16.gguf model-q4_k_m.gguf --text wiki.test.raw
  baimo fidelity ./folder --b-weights q4_k --text book.txt
  baimo fidelity model.gguf --kv f32 --b-kv f16 --text book.txt --context 2048 --json";

pub(super) const PULL: &str = "\
A model is hf:OWNER/REPO (Hugging Face) or ms:OWNER/REPO (ModelScope), behind which may follow
@REVISION and then :FILE or :QUANTIZATION; or a name of the catalog, and @QUANTIZATION behind it.

Examples:
  baimo pull hf:Qwen/Qwen3-0.6B              all that it is run with
  baimo pull hf:Qwen/Qwen3-8B-GGUF:q8_0      one quantization, with all parts of the file
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

pub(super) const RM: &str = "\
Examples:
  baimo rm hf:Qwen/Qwen3-0.6B              all of the repository that is here
  baimo rm hf:Qwen/Qwen3-8B-GGUF:q8_0      one quantization of it
  baimo rm hf:OWNER/REPO@COMMIT            one revision of it
  baimo rm --dry-run qwen3:0.6b            how much that would free

Other programs that share the cache (huggingface_hub, modelscope) lose the model too.";

pub(super) const PRUNE: &str = "\
Removes from the hubs' caches what no model needs: downloads that were broken off, snapshots of
commits that no branch or tag names any more, and bytes that no snapshot has. It says what, and
asks. Models that are being fetched are left alone.

Examples:
  baimo prune              says what could go, and asks
  baimo prune --dry-run    only says it
  baimo prune --yes        asks nothing, for scripts";

pub(super) const CACHE: &str = "\
Examples:
  baimo cache                       which models have packed weights, how large, last used when
  baimo cache --drop model.gguf     those of one model
  baimo cache --all                 all that are not in use";

pub(super) const COMPLETIONS: &str = "\
Each new shell is to read what this prints; put the line where the shell begins.

  bash         source <(baimo completions bash)                in ~/.bashrc
  zsh          source <(baimo completions zsh)                 in ~/.zshrc, after compinit
  fish         baimo completions fish | source                 in ~/.config/fish/config.fish
  elvish       eval (baimo completions elvish | slurp)         in ~/.config/elvish/rc.elv
  powershell   baimo completions powershell | Out-String | Invoke-Expression      in $PROFILE

The shell then asks baimo itself, which knows the catalog and what is here.

Examples:
  baimo completions bash
  baimo completions fish";

pub(super) const MAN: &str = "\
Examples:
  baimo man > baimo.1                          the main page
  baimo man ~/.local/share/man/man1            every page, where `man` finds it";
