use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use partita_store::metrics::{ALL, Kind, describe};

use crate::failure::Failure;

/// How often observations are moved into their buckets. They are kept one by one until then.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Collects metrics from now on.
pub(super) fn start() -> Result<PrometheusHandle, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::internal("cannot collect metrics").because(error);
    let recorder = builder().map_err(|error| failed(&error))?.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|error| failed(&error))?;
    describe();
    let upkeep = handle.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP_INTERVAL).await;
            upkeep.run_upkeep();
        }
    });
    Ok(handle)
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    ALL.iter().try_fold(PrometheusBuilder::new(), |builder, metric| match metric.kind {
        Kind::Histogram(bounds) => {
            builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), bounds)
        }
        Kind::Counter | Kind::Gauge => Ok(builder),
    })
}
