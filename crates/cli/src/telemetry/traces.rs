use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::registry::LookupSpan;

use crate::config::TraceConfig;
use crate::failure::Failure;

/// How long the export of a batch of spans may take. A collector that is away costs traces, nothing else.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
/// The name of this service in traces.
const SERVICE: &str = "partita";

/// What exports spans, in the background; none where no collector is configured.
pub(super) fn provider(config: &TraceConfig) -> Result<Option<SdkTracerProvider>, Failure> {
    let Some(url) = &config.otlp_endpoint else { return Ok(None) };
    let refused = || Failure::usage(format!("cannot export traces to telemetry.otlp_endpoint {url}"));
    let endpoint = Endpoint::from_shared(url.clone()).map_err(|error| refused().because_of(&error))?;
    let endpoint = match url.starts_with("https://") {
        true => endpoint.tls_config(tls(config)?).map_err(|error| refused().because_of(&error))?,
        false => endpoint,
    };
    let channel = endpoint.timeout(EXPORT_TIMEOUT).connect_lazy();
    let exporter = SpanExporter::builder().with_tonic().with_channel(channel).build();
    let exporter = exporter.map_err(|error| refused().because(error))?;
    // A caller that samples its trace wants our part of it as well.
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.sample_ratio)));
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder().with_service_name(SERVICE).with_attribute(version).build();
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(sampler)
        .with_resource(resource)
        .build();
    Ok(Some(provider))
}

fn tls(config: &TraceConfig) -> Result<ClientTlsConfig, Failure> {
    let Some(path) = &config.otlp_ca_file else { return Ok(ClientTlsConfig::new().with_native_roots()) };
    let authorities = std::fs::read(path).map_err(|error| {
        Failure::usage(format!("cannot read telemetry.otlp_ca_file {}", path.display())).because(error)
    })?;
    Ok(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authorities)))
}

/// The layer that makes tracing's spans those of OpenTelemetry.
pub(super) fn layer<S>(provider: &SdkTracerProvider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    tracing_opentelemetry::layer().with_tracer(provider.tracer(SERVICE))
}
