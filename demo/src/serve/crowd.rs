//! The crowd: visitors in the background, at a fixed and low rate. Half of their requests come without a cookie, the others from
//! regulars, who keep theirs.

use std::{collections::VecDeque, time::Duration};

use mooring_tests::Client;

use super::{
    shop::Shop,
    visitor::{CROWD, Visitor},
};

/// The time between two requests: eight in a second.
const PAUSE: Duration = Duration::from_millis(125);
/// How many regulars there are. A newcomer becomes one, and the one who has been here longest leaves.
const REGULARS: usize = 16;
/// Visits for ever, while the switch is on.
pub async fn visit(shop: &Shop) {
    let mut regulars = VecDeque::with_capacity(REGULARS);
    let mut ticks = tokio::time::interval(PAUSE);
    // Requests that were late are not made up for, so the rate has a limit.
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut newcomer = true;
    loop {
        ticks.tick().await;
        if !shop.crowd().is_on() {
            continue;
        }
        let known = if newcomer { None } else { regulars.pop_front() };
        newcomer = !newcomer;
        let regular = known.is_some();
        let mut visitor = known.unwrap_or_else(|| Visitor::new(CROWD, Client::http1(shop.gateway())));
        let answer = visitor.visit().await;
        shop.board().crowd.add(&answer, regular);
        regulars.push_back(visitor);
        if regulars.len() > REGULARS {
            regulars.pop_front();
        }
    }
}
