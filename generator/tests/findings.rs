//! `--findings github`: findings as workflow commands of GitHub Actions.

use crate::common::{SHOP, WASM, directory, mooring, shop_with, without_policy, write};
use snapbox::str;

/// The shop with an error, in a directory whose name must be escaped.
fn wrong_shop(test: &str) -> std::path::PathBuf {
    let directory = directory(&format!("findings/{test}"));
    let shop = shop_with("    - name: web\n      port: 80", "    - name: web\n      port: 81");
    write(&directory, "a,b/shop.yaml", shop);
    directory
}

#[test]
fn a_finding_of_generate_annotates_its_line() {
    let run = mooring()
        .current_dir(wrong_shop("generate"))
        .args(["generate", "--findings", "github", "-f", "./a,b", "--wasm", WASM])
        .assert();
    run.code(3).stderr_eq(str![[r#"
::error file=a%2Cb/shop.yaml,line=22,endLine=22,col=13,endColumn=15,title=BackendNotFound::the Service default/web has no port 81; it has 80%0Athe Service: ./a,b/shop.yaml:27:9
left out because of errors: 1 rule (HTTPRoute/default/web#0)
read 5 objects (1 BackendLBPolicy, 1 Gateway, 1 HTTPRoute, 1 Service, 1 EndpointSlice)

"#]]);
}

#[test]
fn validate_prints_findings_once() {
    let validate = |flags: &[&str]| {
        let run = mooring()
            .current_dir(wrong_shop("validate"))
            .args(["validate", "-f", "a,b"]);
        let run = run.args(["--findings", "github"]).args(flags).assert().code(1);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let output = run.get_output();
        (text(&output.stdout), text(&output.stderr))
    };
    for flags in [&[][..], &["-o", "json"]] {
        let (stdout, stderr) = validate(flags);
        let commands = stderr
            .lines()
            .filter(|line| line.starts_with("::error file=a%2Cb/shop.yaml,line=22,"));
        assert_eq!(commands.count(), 1, "{stderr}");
        assert!(!stdout.contains("error[") && !stdout.contains("::error"), "{stdout}");
    }
}

#[test]
fn the_standard_input_is_no_file_of_the_repository() {
    let shop = shop_with("    - name: web\n      port: 80", "    - name: web\n      port: 81");
    let run = mooring()
        .args(["validate", "-f", "-", "--findings", "github"])
        .stdin(shop)
        .assert();
    let stderr = String::from_utf8(run.get_output().stderr.clone()).unwrap();
    assert!(
        stderr.starts_with(
            "::error title=BackendNotFound::the Service default/web has no port 81; it has 80%0Aat <stdin>:22:13"
        ),
        "{stderr}"
    );
}

#[test]
fn a_finding_about_several_positions_names_all() {
    let twice = format!("{SHOP}---\n{}", without_policy(SHOP));
    let run = mooring()
        .args(["validate", "-f", "-", "--findings", "github"])
        .stdin(twice)
        .assert();
    let stderr = String::from_utf8(run.get_output().stderr.clone()).unwrap();
    let duplicate = stderr.lines().find(|line| line.contains("title=Duplicate")).unwrap();
    assert!(duplicate.matches("<stdin>:").count() > 1, "{duplicate}");
}

#[test]
fn diff_annotates_files_that_differ() {
    let directory = directory("findings/diff");
    write(&directory, "in/shop.yaml", SHOP);
    let run = |arguments: &[&str]| {
        let run = mooring().current_dir(&directory).args(arguments);
        run.args(["-f", "in", "--wasm", WASM]).assert()
    };
    run(&["generate", "--output-dir", "out"]).code(0);
    let plugin = directory.join("out/wasmplugin-default-mooring-front.yaml");
    let text = std::fs::read_to_string(&plugin).unwrap();
    let line = text.lines().position(|line| line.contains("idleTimeout")).unwrap() + 1;
    write(
        &directory,
        "out/stale.yaml",
        text.replace("name: mooring-front", "name: mooring-gone"),
    );
    std::fs::write(&plugin, text.replace("idleTimeout: 10m", "idleTimeout: 1m")).unwrap();
    std::fs::remove_file(directory.join("out/envoyfilter-default-mooring-front-http.yaml")).unwrap();
    let expected = format!(
        "\
::error file=out/envoyfilter-default-mooring-front-http.yaml,line=1,endLine=1,col=1,endColumn=1,title=Outdated::this generated file \
is missing%0Ahelp: run mooring generate --output-dir again
::error file=out/stale.yaml,line=1,endLine=1,col=1,endColumn=1,title=Outdated::this generated file is stale: the input no longer \
needs it%0Ahelp: run mooring generate --output-dir again
::error file=out/wasmplugin-default-mooring-front.yaml,line={line},endLine={line},col=1,endColumn=1,title=Outdated::this generated \
file differs from what the input generates%0Ahelp: run mooring generate --output-dir again
"
    );
    let run = run(&["diff", "out", "--quiet", "--findings", "github"])
        .code(1)
        .stderr_eq(expected);
    assert!(String::from_utf8_lossy(&run.get_output().stdout).contains("-        idleTimeout: 1m"));
}
