//! The arguments of each command, as clap parses them. `super::checks` checks them together.

#![expect(
    clippy::doc_markdown,
    reason = "these comments are the help text, where backticks would stay visible"
)]

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::{
    explain::Explain,
    generate::{Diff, Generate},
    input::InputArgs,
    test::Test,
    token::Token,
    validate::Validate,
    values,
};
use crate::{
    id::Id,
    mesh,
    migrate::{self, PolicyKind},
    output::format::Format,
};

/// Session persistence and sticky canary routing for stock Envoy, driven by Gateway API policies.
#[derive(Debug, Parser)]
#[command(name = "mooring", version, max_term_width = 100, after_long_help = STATUSES)]
pub struct Cli {
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,

    /// When the output has colour. By default on a terminal, unless NO_COLOR is set or TERM is dumb; CLICOLOR_FORCE means always
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub color: Color,
}

/// When the output has colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal
    Auto,
    /// Everywhere
    Always,
    /// Nowhere
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Generate configuration for Istio or for a local Envoy from Gateway API policies
    Generate(Generate),
    /// Report the status of each policy and rule
    Validate(Validate),
    /// Explain which route takes a request, what Mooring decides about it, and why
    Explain(Explain),
    /// Compare a directory with the configuration that would be generated
    Diff(Diff),
    /// Run the unit tests of policies, without an Envoy
    Test(Test),
    /// Generate inside kustomize or kpt, as a function that adds the generated objects
    Fn(Function),
    /// Translate Ingresses of ingress-nginx and consistent hashing of Istio into routes and policies
    Migrate(Migrate),
    /// Print a new key for the key ring that seals session tokens
    Keygen(Keygen),
    /// Show what is in a session token, or seal one for tests
    #[command(after_long_help = TOKEN)]
    Token(Token),
    /// Print the custom resource definition of CanaryPolicy
    #[command(after_long_help = CRDS)]
    Crds,
    /// Write the module as an OCI image layout, and print the digest for --wasm-sha256
    Image(Image),
    /// Print a script that completes commands and flags in a shell
    #[command(after_long_help = COMPLETIONS)]
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Write a man page for each command
    #[command(after_long_help = MAN)]
    Man {
        /// The directory for the pages, such as ~/.local/share/man/man1. It is created if it does not exist
        #[arg(long, value_name = "DIR")]
        output_dir: PathBuf,
    },
}

const STATUSES: &str = "\
Exit status of all commands:
  0  success
  1  failure: something is wrong or cannot be read; for a comparison, a difference
  2  the flags are invalid; for a comparison, also any failure
  3  done, except for what was left out

The help of each command says what they mean there.";

const CRDS: &str = "\
Exit status:
  0  the definition was printed
  1  it could not be written
  2  the flags are invalid

Example:
  mooring crds | kubectl apply --server-side -f -";

const MAN: &str = "\
Exit status:
  0  the pages were written
  1  the directory cannot be created or written
  2  the flags are invalid

Example:
  mooring man --output-dir ~/.local/share/man/man1";

const TOKEN: &str = "\
The help of each command has examples, and its exit statuses.";

const COMPLETIONS: &str = "\
Exit status:
  0  the script was printed
  1  it could not be written
  2  the flags are invalid

Examples:
  mooring completions bash > ~/.local/share/bash-completion/completions/mooring
  mooring completions zsh > ~/.zfunc/_mooring
  mooring completions fish > ~/.config/fish/completions/mooring.fish";

/// `mooring migrate`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Reads Ingresses (networking.k8s.io/v1) with the annotations of ingress-nginx and prints HTTPRoutes with sessionPersistence and \
CanaryPolicies that do the same. If an HTTPRoute of the input has the host and path of an Ingress, as after ingress2gateway, the route \
stays as it is: its sessions become a policy for each Service, and its canary a CanaryPolicy.

Reads DestinationRules whose consistentHash has an httpCookie and prints a session policy for the Service. The DestinationRule stays.

Each annotation without an equivalent is a finding with its line. TLS is not translated: the listeners of the Gateway have the \
certificates. Add Services to the input, for ports with names. With --from-cluster, mooring needs list on the kinds that mooring \
generate --help names, on ingresses and on ingressclasses, and writes nothing to the cluster.

Exit status:
  0  everything was translated
  1  nothing was written: something cannot be read or written, or --gateway is missing
  2  the flags are invalid
  3  something was not translated, or not exactly: there is an error or a warning

Examples:
  mooring migrate -f ingresses/ --gateway istio-ingress/front > routes.yaml
  kubectl get ingresses,services,httproutes -A -o yaml | mooring migrate -f - --gateway istio-ingress/front
  mooring migrate -f destinationrules/ > sessions.yaml")]
pub struct Migrate {
    /// The input.
    #[command(flatten)]
    pub input: InputArgs,

    /// The Gateway to which the HTTPRoutes attach. It is required unless the input has HTTPRoutes for all paths of the Ingresses
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = mesh::gateway_id)]
    pub gateway: Option<Id>,

    /// An IngressClass that belongs to ingress-nginx; may be repeated. Default: nginx, and the IngressClasses of the input with the
    /// controller k8s.io/ingress-nginx. Ingresses without a class always count
    #[arg(long, value_name = "NAME", value_parser = values::class_name)]
    pub ingress_class: Vec<String>,

    /// The prefix of the annotations: that of the flag of the same name of ingress-nginx
    #[arg(long, value_name = "PREFIX", default_value = migrate::DEFAULT_PREFIX)]
    pub annotations_prefix: String,

    /// What the names of the session cookies get at their end, such as -mooring. A new name keeps the cookies of ingress-nginx valid,
    /// for a time in which both gateways serve. Default: the cookies keep their names
    #[arg(long, value_name = "SUFFIX", value_parser = values::cookie_suffix, allow_hyphen_values = true)]
    pub cookie_suffix: Option<String>,

    /// The kind of the session policies for Services
    #[arg(long, value_enum, default_value_t = PolicyKind::XBackendTrafficPolicy)]
    pub policy_kind: PolicyKind,

    /// Output format
    #[arg(short, long, value_enum, default_value_t = Format::Yaml)]
    pub output: Format,
}

/// `mooring fn`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
The function reads a ResourceList (config.kubernetes.io/v1, v1beta1 or v1alpha1) or a List from the standard input and writes it to the \
standard output, with the objects that mooring generate would generate from its items. Items of others stay as they are. Items that \
Mooring has generated before are replaced, and removed if they are stale. Findings are printed on standard error and become the \
results of a ResourceList.

Its functionConfig is an object of the kind MooringGenerate of mooring.dev/v1alpha1. The fields of its spec are the flags of mooring \
generate: wasm (required), wasmSha256, istioVersion, failStrategy, gateways, gatewayClasses, gatewayNamespaces, callers, \
clusterDomain, imagePullSecret, imagePullPolicy, pluginPhase, pluginPriority, labels and annotations (mappings), allow, accessLog, weightMetric and failOnEmpty (true or false). Unless strict is false, an error in an object makes the function fail.

kustomize runs it as a transformer. A generator receives no objects.

With --config, the input may also be a stream of documents, such as the output of helm template or kustomize build. Then the output is \
a stream too.

Exit status:
  0  the objects were added
  1  the function failed, and the items are unchanged
  2  the flags are invalid")]
pub struct Function {
    /// A file with the functionConfig, for input without one: a List or a stream of documents
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `mooring keygen`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
A key ring is a list of keys, separated by commas or white space, in the environment variable MOORING_KEYS of every gateway. The first \
key encrypts new tokens; every key decrypts tokens.

To replace a key without losing a session, change the ring in three steps (--ring with --id, --promote and --remove), each of them on all \
gateways before the next. A step that has been done already changes nothing. If the input of --ring is a Secret in JSON, the output is that \
Secret with the changed ring, for `kubectl replace`:

  kubectl get secret mooring-keys -n NAMESPACE -o json | mooring keygen --ring - --id 02 | kubectl replace -f -

Exit status:
  0  success
  1  nothing was printed, or --check found an invalid key
  2  the flags are invalid")]
pub struct Keygen {
    /// The id of the new key: two hexadecimal digits. A --ring that has a key with this id is printed unchanged. Default: a random id
    /// that the ring does not use
    #[arg(long, value_name = "HEX", value_parser = values::key_id)]
    pub id: Option<u8>,

    /// A file with an existing ring, or - for the standard input: the ring alone, or its Secret as `kubectl get --output json` prints it.
    /// The output is that ring with the new key at its end, unless another flag changes or checks it
    #[arg(long, value_name = "FILE")]
    pub ring: Option<PathBuf>,

    /// Make no key, and move the key with this id to the front of the ring: it encrypts new tokens then
    #[arg(long, value_name = "HEX", value_parser = values::key_id, requires = "ring", conflicts_with = "id")]
    pub promote: Option<u8>,

    /// Make no key, and remove the key with this id from the ring. The first key is not removed
    #[arg(long, value_name = "HEX", value_parser = values::key_id, requires = "ring", conflicts_with_all = ["id", "promote"])]
    pub remove: Option<u8>,

    /// Make no key, and print the ring as it is: with --secret, for another namespace or cluster
    #[arg(long, requires = "ring", conflicts_with_all = ["id", "promote", "remove"])]
    pub copy: bool,

    /// Make no key, and print the ids of the ring and what is wrong with it, without the secrets
    #[arg(long, requires = "ring", conflicts_with_all = ["id", "promote", "remove", "copy", "secret"])]
    pub check: bool,

    /// Print a Kubernetes Secret that holds the output under the key MOORING_KEYS
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = values::secret_name)]
    pub secret: Option<(String, String)>,
}

/// `mooring image`.
#[derive(Debug, Args)]
#[command(
    group(clap::ArgGroup::new("contents").required(true)),
    after_long_help = "\
The image of a module has one layer with one file, plugin.wasm, as Istio expects it. The standard output is the digest of its manifest: \
after a push, the registry shows the same one. The layout contains no index of several images, because Istio verifies the digest of a \
manifest. The same module gives the same digest on every machine.

Exit status:
  0  the layout was written, or DIR holds exactly this layout already
  1  nothing was written: a file cannot be read or is not what the image needs, or DIR is not empty
  2  the flags are invalid

Examples:
  mooring image --wasm mooring.wasm --output-dir mooring-image
  crane push mooring-image registry.example.com/mooring:0.1.0
  mooring image --command amd64/mooring --command arm64/mooring --output-dir command-image"
)]
pub struct Image {
    /// The module
    #[arg(long, value_name = "FILE", group = "contents")]
    pub wasm: Option<PathBuf>,

    /// Instead of the module: the mooring command, statically linked for Linux, as the entrypoint of an image without other files. For
    /// an image for several architectures, repeat the flag with a file for each
    #[arg(long, value_name = "FILE", group = "contents", conflicts_with = "wasm")]
    pub command: Vec<PathBuf>,

    /// Instead of the command: the controller, with everything else as for --command
    #[arg(long, value_name = "FILE", group = "contents", conflicts_with_all = ["wasm", "command"])]
    pub controller: Vec<PathBuf>,

    /// The directory for the layout. It is created if it does not exist, and must be empty
    #[arg(long, value_name = "DIR")]
    pub output_dir: PathBuf,
}

/// A shell with completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// Bash, with the package bash-completion
    Bash,
    /// Zsh, from a directory in fpath
    Zsh,
    /// fish
    Fish,
}
