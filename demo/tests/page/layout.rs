//! The page on a phone, by keyboard, and for assistive technology.

use std::collections::BTreeSet;

use serde_json::json;
use thirtyfour::Key;

use crate::{browser::Page, demo::Demo};

const CONTROLS: &str = "a[href], button, input, summary, [tabindex='0']";

#[tokio::test]
async fn the_page_fits_a_phone_and_all_of_it_is_reached_by_keyboard() {
    let demo = Demo::start().await;
    let page = Page::open(format!("http://{}/", demo.address)).await;
    page.click("#visitor-a [data-times='20']").await;
    page.shows("#status", "Visitor A: 20 visits").await;
    page.click("summary").await;
    page.click("#with-crowd").await;
    page.shows("#decisions", "Crowd").await;
    for scheme in ["light", "dark"] {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        page.command("Emulation.setEmulatedMedia", features).await;
        for width in [360, 390, 768, 1280] {
            page.has_size(width, 800).await;
            let scrolls = page.value("document.documentElement.scrollWidth").await;
            assert!(
                scrolls.as_u64().unwrap() <= u64::from(width),
                "{scheme}, {width}: {scrolls}"
            );
        }
        let dark = page.value("getComputedStyle(document.body).backgroundColor").await;
        let expected = if scheme == "dark" {
            "rgb(13, 21, 29)"
        } else {
            "rgb(244, 246, 248)"
        };
        assert_eq!(dark, expected);
        let faint = page.value(FAINT).await;
        assert_eq!(faint, json!([]), "{scheme}: text without enough contrast");
    }
    let unnamed = page.value(UNNAMED).await;
    assert_eq!(unnamed, json!([]), "controls without a name");
    all_is_reached_by_tab(&page).await;

    // Enter does what a click does.
    let button = page.one("#visitor-b [data-times='1']").await;
    button.send_keys(Key::Enter).await.unwrap();
    page.shows("#status", "Visitor B: 1 visit, answered by").await;
    assert_eq!(page.value("document.getElementById('status').ariaLive").await, "polite");
    page.closes().await;
}

/// Presses Tab from the start of the page until it comes around, and compares what had the focus with what there is.
async fn all_is_reached_by_tab(page: &Page) {
    let number = format!(
        "(window.controls = [...document.querySelectorAll(\"{CONTROLS}\")].filter((e) => e.checkVisibility())).length"
    );
    let count = page.value(&number).await.as_u64().unwrap();
    assert!(count > 20, "{count}");
    page.value("document.querySelector('.skip').focus()").await;
    let mut reached = BTreeSet::new();
    // Tab also visits the page itself once, before it comes around.
    for _ in 0..=count {
        page.driver.action_chain().send_keys(Key::Tab).perform().await.unwrap();
        let focused = page.value("window.controls.indexOf(document.activeElement)").await;
        if focused == -1 {
            continue;
        }
        let outline =
            "document.activeElement.matches(':focus-visible') && getComputedStyle(document.activeElement).outlineStyle";
        assert_eq!(
            page.value(outline).await,
            "solid",
            "the focus is seen on control {focused}"
        );
        reached.insert(focused.as_i64().unwrap());
    }
    let all: BTreeSet<i64> = (0..i64::try_from(count).unwrap()).collect();
    assert_eq!(reached, all, "what Tab reaches");
}

/// Controls without a name that a screen reader could say.
const UNNAMED: &str = "[...document.querySelectorAll('button, input, progress, section, a')]
    .filter((e) => !(e.ariaLabel || e.textContent.trim() || e.labels?.length || e.getAttribute('aria-labelledby')))
    .map((e) => e.outerHTML)";

/// Text whose contrast with its ground is below 4.5 to 1 (WCAG 2.2, 1.4.3). The ground is that of the nearest element that has one.
const FAINT: &str = "(() => {
    const channels = (color) => color.match(/[\\d.]+/g).map(Number);
    const light = (color) => channels(color).slice(0, 3).map((c) => c / 255)
        .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = (e) => {
        for (; e; e = e.parentElement) {
            const color = getComputedStyle(e).backgroundColor;
            if ((channels(color)[3] ?? 1) > 0) return color;
        }
        return 'rgb(255, 255, 255)';
    };
    const texts = [...document.querySelectorAll('body *')].filter((e) => e.checkVisibility() &&
        [...e.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim()));
    return texts.filter((e) => {
        const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
        return (a + 0.05) / (b + 0.05) < 4.5;
    }).map((e) => e.outerHTML.slice(0, 120));
})()";
