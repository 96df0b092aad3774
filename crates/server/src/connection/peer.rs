use std::net::IpAddr;

use rustls::pki_types::CertificateDer;
use tonic::codegen::http::Extensions;
use tracing::field::{DisplayValue, display};
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;
use x509_parser::x509::X509Name;

/// Who is at the other end of a connection: from where, and as far as a certificate that was found to be genuine says, who.
#[derive(Debug, Clone, Default)]
pub(crate) struct Peer {
    address: Option<IpAddr>,
    names: Vec<String>,
}

impl Peer {
    /// Somebody without a certificate.
    pub(super) fn at(address: IpAddr) -> Self {
        Self { address: Some(address), names: Vec::new() }
    }

    /// From where a call comes, for the log: of a proxy before this process, the proxy's. None within this process.
    pub(crate) fn address_of(extensions: &Extensions) -> Option<DisplayValue<IpAddr>> {
        extensions.get::<Self>().and_then(|peer| peer.address).map(display)
    }

    /// The names of a certificate: the URIs among its alternative names, then its subject.
    pub(super) fn with(self, certificate: &CertificateDer<'_>) -> Self {
        // rustls has parsed it before.
        let Ok((_, parsed)) = parse_x509_certificate(certificate) else { return self };
        let alternative = parsed.subject_alternative_name().ok().flatten();
        let general = alternative.into_iter().flat_map(|extension| &extension.value.general_names);
        let mut names: Vec<String> = general
            .filter_map(|name| if let GeneralName::URI(uri) = name { Some((*uri).to_owned()) } else { None })
            .collect();
        names.extend(subject(parsed.subject()));
        Self { names, ..self }
    }

    /// Its names, the most telling first; none without a certificate.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }
}

/// A subject as RFC 4514 writes it but for the order, which is that of the certificate: `CN=orders,O=Acme`. None where a
/// part of it holds what parts are told apart by: it could pass for another.
fn subject(name: &X509Name<'_>) -> Option<String> {
    let plain = |text: &str| !text.contains([',', '+', '=', ';', '"', '\\', '<', '>', '#']);
    let all_plain = name.iter_attributes().all(|part| part.as_str().is_ok_and(plain));
    let subject = name.to_string().replace(", ", ",");
    (all_plain && !subject.is_empty()).then_some(subject)
}
