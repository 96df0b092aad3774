use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tonic::Request;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::client::{self, ServerArgs};
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};

/// Ask a server how it is, by grpc.health.v1.
#[derive(Debug, Args)]
pub(crate) struct HealthArgs {
    /// The service to ask for; without it the server as a whole
    #[arg(long, default_value = "", hide_default_value = true)]
    service: String,
    /// Longest wait for an answer, in seconds
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
}

#[derive(Debug, Serialize)]
struct HealthDocument<'a> {
    service: &'a str,
    status: &'a str,
}

pub(crate) async fn run(args: HealthArgs, server: &ServerArgs, format: Format) -> Result<(), Failure> {
    let mut client = HealthClient::new(client::connect(server).await?);
    let mut request = Request::new(HealthCheckRequest { service: args.service.clone() });
    request.set_timeout(Duration::from_secs(args.timeout));
    let answer = client.check(request).await.map_err(|status| client::failure("no answer", status))?;
    let status = answer.into_inner().status();
    let document = HealthDocument { service: &args.service, status: status.as_str_name() };
    match format {
        Format::Json => output::json(&document)?,
        Format::Table => output::line(document.status)?,
    }
    match status {
        ServingStatus::Serving => Ok(()),
        ServingStatus::NotServing | ServingStatus::Unknown | ServingStatus::ServiceUnknown => {
            Err(Failure::new(Exit::Unreachable, "the server does not serve now"))
        }
    }
}
