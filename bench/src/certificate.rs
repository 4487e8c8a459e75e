//! The gateway's certificate, made anew in each run.

use std::sync::OnceLock;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::CertificateDer;

use crate::user::HOSTNAME;

/// See the module.
pub(crate) struct Certificate {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) chain_pem: String,
    pub(crate) key_pem: String,
}

impl Certificate {
    /// The one of this run: ECDSA P-256.
    pub(crate) fn of_this_run() -> &'static Self {
        static ONE: OnceLock<Certificate> = OnceLock::new();
        ONE.get_or_init(|| {
            let CertifiedKey { cert, signing_key } =
                generate_simple_self_signed([HOSTNAME.to_owned()]).expect("a key can be made");
            Self {
                der: cert.der().clone(),
                chain_pem: cert.pem(),
                key_pem: signing_key.serialize_pem(),
            }
        })
    }
}
