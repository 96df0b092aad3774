use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;
use x509_parser::x509::X509Name;

/// Who is at the other end of a connection, as far as a certificate that was found to be genuine says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Peer {
    names: Vec<String>,
}

impl Peer {
    /// The names of a certificate: the URIs among its alternative names, then its subject.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Self {
        // rustls has parsed it before.
        let Ok((_, parsed)) = parse_x509_certificate(certificate) else { return Self::default() };
        let alternative = parsed.subject_alternative_name().ok().flatten();
        let general = alternative.into_iter().flat_map(|extension| &extension.value.general_names);
        let mut names: Vec<String> = general
            .filter_map(|name| if let GeneralName::URI(uri) = name { Some((*uri).to_owned()) } else { None })
            .collect();
        names.extend(subject(parsed.subject()));
        Self { names }
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
