//! How the time and memory of `mooring generate` grow with its input: `cargo bench --package mooring-generator --bench
//! scale`, which prints a line of JSON for each size. Arguments are other numbers of routes.
//!
//! A route has what it needs in a shop of its size: one `HTTPRoute`, one Service with endpoints and one policy each, every
//! fifth route a split over two Services, a namespace for a hundred routes and a Gateway for a thousand. Seconds are the
//! least of several runs of the command as a whole, from its start to its end; memory is its high-water mark as the kernel
//! keeps it. `exponent` is that of the growth since the size before: 1 is linear.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "a measurement that cannot be made is no measurement"
)]

use std::{
    fmt::Write as _,
    fs::{self, File},
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

const SIZES: [u32; 4] = [10, 100, 1_000, 10_000];

/// How often a size is timed.
const RUNS: u32 = 5;

fn main() {
    // Cargo says `--bench`; whatever else is said are sizes.
    let wanted: Vec<u32> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let sizes = if wanted.is_empty() { SIZES.to_vec() } else { wanted };
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("scale-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let mut previous: Option<(u32, f64)> = None;
    for routes in sizes {
        let input = directory.join(format!("{routes}.yaml"));
        fs::write(&input, shop(routes)).unwrap();
        let output = directory.join("output.yaml");
        let seconds = (0..RUNS)
            .map(|_| seconds(&input, &output))
            .fold(f64::INFINITY, f64::min);
        let exponent =
            previous.map(|(fewer, less)| (seconds / less).ln() / (f64::from(routes) / f64::from(fewer)).ln());
        let figures = serde_json::json!({
            "routes": routes,
            "seconds": rounded(seconds, 10_000.0),
            "peakMiB": rounded(peak(&input, &output), 10.0),
            "inputMiB": rounded(mebibytes(&input), 100.0),
            "outputMiB": rounded(mebibytes(&output), 100.0),
            "exponent": exponent.map(|exponent| rounded(exponent, 100.0)),
        });
        println!("{figures}");
        previous = Some((routes, seconds));
    }
    fs::remove_dir_all(&directory).unwrap();
}

/// `mooring generate` on a file.
fn command(input: &Path, output: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mooring"));
    command.args(["generate", "--wasm", "oci://registry.example/mooring:1", "--file"]);
    command
        .arg(input)
        .stdout(File::create(output).unwrap())
        .stderr(Stdio::null());
    command
}

fn seconds(input: &Path, output: &Path) -> f64 {
    let mut command = command(input, output);
    let start = Instant::now();
    assert!(command.status().unwrap().success(), "mooring generate fails");
    start.elapsed().as_secs_f64()
}

/// The high-water mark of the command's memory: as it is last seen before the end.
fn peak(input: &Path, output: &Path) -> f64 {
    let mut child = command(input, output).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut kibibytes = 0;
    while child.try_wait().unwrap().is_none() {
        let status = fs::read_to_string(&status).unwrap_or_default();
        let mark = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let mark = mark.and_then(|mark| mark.trim().strip_suffix(" kB")?.parse().ok());
        kibibytes = mark.unwrap_or(0).max(kibibytes);
        sleep(Duration::from_micros(200));
    }
    f64::from(kibibytes) / 1024.0
}

fn mebibytes(path: &Path) -> f64 {
    let bytes = fs::metadata(path).unwrap().len();
    f64::from(u32::try_from(bytes).unwrap()) / 1024.0 / 1024.0
}

fn rounded(number: f64, steps: f64) -> f64 {
    (number * steps).round() / steps
}

/// The input: everything that this many routes need.
fn shop(routes: u32) -> String {
    let mut text = String::new();
    for gateway in 0..routes.div_ceil(1_000) {
        write!(
            text,
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata:\n  name: front-{gateway}\n  \
             namespace: edge\nspec:\n  gatewayClassName: istio\n  listeners:\n  - name: http\n    port: 80\n    protocol: \
             HTTP\n    allowedRoutes:\n      namespaces:\n        from: All\n"
        )
        .unwrap();
    }
    for route in 0..routes {
        let names: &[&str] = if route % 5 == 0 {
            &["stable", "canary"]
        } else {
            &["web"]
        };
        add_route(&mut text, route, names);
        for name in names {
            add_service(&mut text, route, name);
        }
    }
    text
}

fn add_route(text: &mut String, route: u32, services: &[&str]) {
    let (gateway, namespace) = (route / 1_000, route / 100);
    write!(
        text,
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata:\n  name: route-{route}\n  namespace: \
         team-{namespace}\nspec:\n  parentRefs:\n  - name: front-{gateway}\n    namespace: edge\n  hostnames:\n  - \
         route-{route}.example.com\n  rules:\n  - matches:\n    - path:\n        type: PathPrefix\n        value: /\n    \
         backendRefs:\n"
    )
    .unwrap();
    for service in services {
        writeln!(text, "    - name: {service}-{route}\n      port: 80\n      weight: 50").unwrap();
    }
    write!(
        text,
        "---\napiVersion: gateway.networking.x-k8s.io/v1alpha1\nkind: XBackendTrafficPolicy\nmetadata:\n  name: \
         sticky-{route}\n  namespace: team-{namespace}\n  annotations:\n    mooring.dev/idle-timeout: 30m\nspec:\n  \
         targetRefs:\n"
    )
    .unwrap();
    for service in services {
        writeln!(text, "  - group: \"\"\n    kind: Service\n    name: {service}-{route}").unwrap();
    }
    writeln!(
        text,
        "  sessionPersistence:\n    sessionName: session-{route}\n    absoluteTimeout: 8h"
    )
    .unwrap();
}

fn add_service(text: &mut String, route: u32, name: &str) {
    let namespace = route / 100;
    write!(
        text,
        "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: {name}-{route}\n  namespace: team-{namespace}\nspec:\n  \
         selector:\n    app: {name}-{route}\n  ports:\n  - name: http\n    port: 80\n    targetPort: \
         8080\n"
    )
    .unwrap();
}
