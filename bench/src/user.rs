//! One user: a connection to the gateway and the session that it was given.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use mooring_tests::{Client, Reply};

/// The header that carries the sessions of callers in the mesh.
pub(crate) const SESSION_HEADER: &str = "x-cart";
/// The application's own cookies.
const COOKIES: &str = "theme=dark; lang=en";

/// What a user asks for.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) host: String,
    pub(crate) path: String,
}

/// See the module.
pub(crate) struct User {
    client: Client,
    request: Request,
    cookies: String,
    /// The session, if a header carries it.
    header: Option<Vec<u8>>,
    /// The body of the first answer, if all others must equal it.
    pod: Option<Vec<u8>>,
}

impl User {
    /// A user with a connection of its own, who sends the first request. `keep`: its answer gives the cookies and the pod of all
    /// later ones.
    pub(crate) async fn start(address: SocketAddr, request: &Request, keep: bool) -> Result<Self> {
        let mut user = Self {
            client: Client::http1(address),
            request: request.clone(),
            cookies: COOKIES.to_owned(),
            header: None,
            pod: None,
        };
        let first = user.exchange().await?;
        if keep {
            user.header = first.header(SESSION_HEADER).map(<[u8]>::to_vec);
            if let Some(cookie) = first.set_cookies().first() {
                user.cookies = format!("{COOKIES}; {}", cookie.stripped());
            }
            user.pod = Some(first.body().to_vec());
        }
        Ok(user)
    }

    /// Sends the request once and checks the answer.
    pub(crate) async fn send(&self) -> Result<()> {
        let reply = self.exchange().await?;
        if let Some(pod) = &self.pod {
            ensure!(reply.body() == pod, "a session left its pod {pod:?}: {reply:?}");
        }
        Ok(())
    }

    async fn exchange(&self) -> Result<Reply> {
        let request = self.client.request(&self.request.path).host(&self.request.host);
        let request = request
            .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0)")
            .header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
            .header("accept-encoding", "gzip, deflate, br, zstd")
            .cookie(&self.cookies);
        let request = match &self.header {
            Some(session) => request.header(SESSION_HEADER, session),
            None => request,
        };
        let reply = request.attempt().await?;
        ensure!(reply.status() == 200, "not a 200: {reply:?}");
        Ok(reply)
    }
}
