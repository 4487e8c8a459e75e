//! A visitor who keeps cookies between requests.

use cookie::Cookie;

use crate::{
    client::{Client, Failure, Request},
    reply::Reply,
    wait::Stopwatch,
};

/// A client that sends back the cookies it was given.
///
/// It keeps what matters here of RFC 6265, section 5: names, values and `Max-Age`. There is one site, so `Domain`, `Path`
/// and `Secure` do not filter.
pub struct Browser {
    client: Client,
    jar: Vec<Kept>,
    obedient: bool,
}

struct Kept {
    cookie: Cookie<'static>,
    since: Stopwatch,
}

impl Browser {
    /// A visitor who forgets a cookie at its Max-Age, as browsers do.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            jar: Vec::new(),
            obedient: true,
        }
    }

    /// A visitor who goes on sending a cookie whatever its Max-Age says.
    pub fn stubborn(client: Client) -> Self {
        Self {
            obedient: false,
            ..Self::new(client)
        }
    }

    /// Puts a cookie into the jar as if a server had set it.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.keep(Cookie::new(name.to_owned(), value.to_owned()));
        self
    }

    /// Sends a GET with all cookies, and keeps what comes back.
    pub async fn get(&mut self, target: &str) -> Reply {
        let reply = self.request(target, &[]).send().await;
        self.keep_all(&reply);
        reply
    }

    /// The same with more header lines, and says why when no answer came.
    pub async fn attempt(&mut self, target: &str, lines: &[(&str, &str)]) -> Result<Reply, Failure> {
        let reply = self.request(target, lines).attempt().await?;
        self.keep_all(&reply);
        Ok(reply)
    }

    /// The value of a cookie in the jar.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let mut kept = self.jar.iter();
        kept.find(|kept| kept.cookie.name() == name)
            .map(|kept| kept.cookie.value())
    }

    /// The Cookie header of the next request, if there is something in the jar.
    pub fn cookie_header(&self) -> Option<String> {
        let live = self.jar.iter().filter(|kept| !self.obedient || !kept.is_over());
        let pairs: Vec<String> = live.map(|kept| kept.cookie.stripped().to_string()).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// The same jar in front of another gateway.
    pub fn moves_to(mut self, client: Client) -> Self {
        self.client = client;
        self
    }

    fn request(&self, target: &str, lines: &[(&str, &str)]) -> Request<'_> {
        let request = self.client.request(target);
        let request = match self.cookie_header() {
            Some(cookies) => request.cookie(cookies),
            None => request,
        };
        lines
            .iter()
            .fold(request, |request, (name, value)| request.header(name, value))
    }

    fn keep_all(&mut self, reply: &Reply) {
        for cookie in reply.set_cookies() {
            self.keep(cookie);
        }
    }

    fn keep(&mut self, cookie: Cookie<'static>) {
        self.jar.retain(|kept| kept.cookie.name() != cookie.name());
        self.jar.push(Kept {
            cookie,
            since: Stopwatch::start(),
        });
    }
}

impl Kept {
    fn is_over(&self) -> bool {
        let elapsed = i128::try_from(self.since.elapsed().as_nanos()).unwrap_or(i128::MAX);
        self.cookie
            .max_age()
            .is_some_and(|max_age| elapsed >= max_age.whole_nanoseconds())
    }
}
