use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};

use crate::failure::{Exit, Failure};

/// A server that does not take a connection within this time is told as not reachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection whose calls carry the credential.
pub(crate) type Channel = InterceptedService<tonic::transport::Channel, Bearer>;

/// The server, and what it wants to see.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerArgs {
    /// The server to talk to; https:// for TLS
    #[arg(
        long = "server",
        env = "PARTITA_SERVER",
        value_name = "URL",
        default_value = "http://127.0.0.1:50051",
        global = true
    )]
    pub(crate) url: String,
    /// Token that says who calls; better in the variable or in a file, as the command line is for all to see
    #[arg(long, env = "PARTITA_TOKEN", value_name = "TOKEN", hide_env_values = true, global = true)]
    token: Option<String>,
    /// File with that token
    #[arg(long, env = "PARTITA_TOKEN_FILE", value_name = "FILE", conflicts_with = "token", global = true)]
    token_file: Option<PathBuf>,
    /// Authorities of the server's certificate, as PEM; without it those of this machine
    #[arg(long, env = "PARTITA_TLS_CA", value_name = "FILE", global = true)]
    tls_ca: Option<PathBuf>,
    /// Client certificate, as PEM
    #[arg(long, env = "PARTITA_TLS_CERT", value_name = "FILE", requires = "tls_key", global = true)]
    tls_cert: Option<PathBuf>,
    /// Its private key, as PEM
    #[arg(long, env = "PARTITA_TLS_KEY", value_name = "FILE", requires = "tls_cert", global = true)]
    tls_key: Option<PathBuf>,
}

/// Puts the token into each call.
#[derive(Debug, Clone)]
pub(crate) struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

/// Connects to a server.
///
/// # Errors
/// When the URL is none, a file cannot be read, or nobody answers.
pub(crate) async fn connect(server: &ServerArgs) -> Result<Channel, Failure> {
    let url = &server.url;
    let endpoint = Endpoint::from_shared(url.clone()).map_err(|error| {
        let failure = Failure::usage(format!("--server `{url}` is not a URL")).because(error);
        failure.next("write it as http://host:port, or https://host:port")
    })?;
    let endpoint = match url.starts_with("https://") {
        true => endpoint
            .tls_config(server.tls()?)
            .map_err(|error| Failure::usage("the certificates cannot be used").because_of(&error))?,
        false => endpoint,
    };
    let bearer = Bearer(server.bearer()?);
    let connected = endpoint.connect_timeout(CONNECT_TIMEOUT).connect().await;
    let channel = connected.map_err(|error| {
        let failure = Failure::new(Exit::Unreachable, format!("cannot reach the server at {url}"));
        failure
            .because_of(&error)
            .next("start one with `partita dev` or `partita serve`, or name another with --server")
    })?;
    Ok(InterceptedService::new(channel, bearer))
}

/// A channel within this process, where nobody asks who calls.
pub(crate) fn without_credential(channel: tonic::transport::Channel) -> Channel {
    InterceptedService::new(channel, Bearer(None))
}

impl ServerArgs {
    fn tls(&self) -> Result<ClientTlsConfig, Failure> {
        let tls = match &self.tls_ca {
            Some(path) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(path)?)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => {
                Ok(tls.identity(Identity::from_pem(read(certificate)?, read(key)?)))
            }
            // The command line has them both or neither.
            (Some(_) | None, None) | (None, Some(_)) => Ok(tls),
        }
    }

    fn bearer(&self) -> Result<Option<MetadataValue<Ascii>>, Failure> {
        let token = match (&self.token, &self.token_file) {
            (Some(token), _) => Some(token.clone()),
            (None, Some(path)) => Some(String::from_utf8_lossy(&read(path)?).into_owned()),
            (None, None) => None,
        };
        let Some(token) = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty()) else {
            return Ok(None);
        };
        let mut value = MetadataValue::try_from(format!("Bearer {token}"))
            .map_err(|_| Failure::usage("the token has characters that no header can hold"))?;
        // Kept out of whatever prints headers.
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path)
        .map_err(|error| Failure::usage(format!("cannot read {}", path.display())).because(error))
}
