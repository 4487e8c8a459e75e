//! The page that a pod shows to a browser.

use mooring_tests::{Echo, Stats};

/// The page of the pod that was asked, with what the gateway has counted.
pub fn page(echo: &Echo, stats: &Stats) -> String {
    let colour = match echo.pod.bytes().last() {
        Some(b'1') => "#0b7285",
        Some(b'2') => "#e67700",
        _ => "#2b8a3e",
    };
    let counted = [
        ("sessions begun", "mooring_session_new_total"),
        ("requests of live sessions", "mooring_session_resumed_total"),
        ("cookies renewed", "mooring_session_refreshed_total"),
        ("sessions moved to another pod", "mooring_session_moved_total"),
        ("sessions ended by silence", "mooring_session_expired_idle_total"),
        ("sessions ended by age", "mooring_session_expired_absolute_total"),
    ];
    let rows: Vec<String> = counted
        .iter()
        .map(|(what, name)| format!("<tr><td>{what}<td>{}", stats.mooring(name)))
        .collect();
    let cookie = echo.cookie();
    let cookie = cookie.as_deref().map(String::from_utf8_lossy);
    TEMPLATE
        .replace("{colour}", colour)
        .replace("{pod}", &escape(&echo.pod))
        .replace("{version}", &escape(&echo.version))
        .replace(
            "{cookie}",
            &escape(cookie.as_deref().unwrap_or("none: the session cookie is the gateway's")),
        )
        .replace("{rows}", &rows.join("\n"))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

const TEMPLATE: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{pod}</title>
<style>
  body { font: 1.1rem/1.6 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem; color: #222; }
  h1 { background: {colour}; color: #fff; padding: 1.5rem; border-radius: .5rem; text-align: center; }
  td { padding: .1rem 1.5rem .1rem 0; } td + td { text-align: right; }
  #trail span { display: inline-block; margin: .1rem; padding: 0 .4rem; border-radius: .3rem; color: #fff; }
  .store-1 { background: #0b7285; } .store-2 { background: #e67700; } .store-3 { background: #2b8a3e; }
  .error { background: #c92a2a; }
</style>
<h1>{pod}</h1>
<p>This is version {version} of the store. Cookies that reached this pod: <code>{cookie}</code>
<p>Silent for <b id="silence">0</b> s. After 20 s of silence, or at an age of 2 minutes, the next visit begins a new session.
<p><button id="visit">Visit</button> <label><input type="checkbox" id="often"> every second</label>
<p id="trail"></p>
<h2>The gateway has counted</h2>
<table>{rows}</table>
<script>
  let last = Date.now();
  const visit = async () => {
    const mark = document.createElement("span");
    try {
      const echo = await (await fetch("/", { headers: { accept: "application/json" } })).json();
      mark.textContent = mark.className = echo.pod;
    } catch {
      mark.textContent = mark.className = "error";
    }
    last = Date.now();
    document.getElementById("trail").append(mark);
  };
  document.getElementById("visit").onclick = visit;
  setInterval(() => {
    if (document.getElementById("often").checked) visit();
    document.getElementById("silence").textContent = Math.round((Date.now() - last) / 1000);
  }, 1000);
</script>
"#;
