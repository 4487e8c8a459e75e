//! Finds the version of a session among the backends of its rule.
//!
//! At the end of a release the stable backend gets the version of the canary, and with the next release the canary gets another
//! version. A session that stayed with its backend would be on a canary that its client never reached by the weights. So a session
//! follows the version that its backend had when its token was sealed.
//!
//! A backend can also get another version in place: its Deployment is updated, and for a while it has pods of both versions. A
//! session then stays with its backend, and with its host as long as Envoy has that, if the others have no other version, or if
//! the weights select the same backend for the request.

use super::backends::Backends;
use crate::{backend::Backend, host::Host, token::Token};

/// Where the version of a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VersionPlace {
    /// With the backend of the session, as far as versions are known.
    Own,
    /// With this other backend.
    Other(usize),
    /// No backend has it, and another backend has another version than that of the session.
    Nowhere,
}

impl Backends<'_> {
    /// Where the version of a live session is. `own` is the backend of the session, if the rule has it.
    pub(super) fn place_of_version<H: Host>(
        &self,
        token: &Token,
        own: Option<usize>,
        host: &H,
    ) -> Result<VersionPlace, H::Error> {
        let Some(own) = own else {
            let other = self.other_of_version(&token.version, None, host)?;
            return Ok(other.map_or(VersionPlace::Own, VersionPlace::Other));
        };
        let Some(own_version) = self.version(own) else {
            return Ok(VersionPlace::Own);
        };
        // A token without a version gets that of its backend.
        if token.version.is_empty() || *token.version == *own_version.as_bytes() {
            return self.place_of_own_version(own, own_version.as_bytes(), host);
        }
        if let Some(other) = self.other_of_version(&token.version, Some(own), host)? {
            return Ok(VersionPlace::Other(other));
        }
        let mut versions = self.rule.backends().iter().filter_map(Backend::version);
        if versions.any(|version| version != own_version) {
            return Ok(VersionPlace::Nowhere);
        }
        self.place_of_own_version(own, own_version.as_bytes(), host)
    }

    /// The same for a session that has the version of its backend: it stays as long as the backend can take it.
    fn place_of_own_version<H: Host>(&self, own: usize, version: &[u8], host: &H) -> Result<VersionPlace, H::Error> {
        let unreachable = self.is_unreachable(own);
        if !unreachable && !self.had_weight_zero(own) {
            return Ok(VersionPlace::Own);
        }
        let Some(other) = self.other_of_version(version, Some(own), host)? else {
            return Ok(VersionPlace::Own);
        };
        // The weight may have been raised since the configuration was written.
        let stays = !unreachable && self.has_weight(own, host)?;
        Ok(if stays {
            VersionPlace::Own
        } else {
            VersionPlace::Other(other)
        })
    }

    /// Whether the version of the session's backend is not that of its token.
    pub(super) fn has_new_version(&self, session: Option<&Token>, own: Option<usize>) -> bool {
        let own = own.and_then(|own| self.rule.backends().get(own));
        session
            .zip(own.and_then(Backend::version_for_tokens))
            .is_some_and(|(token, version)| version.as_bytes() != &*token.version)
    }

    /// Another backend with this version that can take a session. If there are several, it is the one that the route
    /// selects for the request, or else the first.
    fn other_of_version<H: Host>(
        &self,
        version: &[u8],
        own: Option<usize>,
        host: &H,
    ) -> Result<Option<usize>, H::Error> {
        let can_take = |backend: &usize| {
            Some(*backend) != own
                && self.version(*backend).is_some_and(|other| other.as_bytes() == version)
                && !self.had_weight_zero(*backend)
                && !self.is_unreachable(*backend)
        };
        let mut others = (0..self.rule.backends().len()).filter(can_take);
        let first = others.next();
        if others.next().is_none() {
            return Ok(first);
        }
        Ok(self.routed(host)?.filter(can_take).or(first))
    }

    fn version(&self, backend: usize) -> Option<&str> {
        self.rule.backends().get(backend)?.version()
    }
}
