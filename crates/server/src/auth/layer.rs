use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tower::{Layer, Service};

use super::Authenticator;
use crate::connection::Peer;
use crate::status::unauthenticated;

/// Lets nobody in without a credential, and notes whose it is.
#[derive(Clone)]
pub(crate) struct AuthLayer(Arc<Authenticator>);

impl AuthLayer {
    pub(crate) fn new(authenticator: Authenticator) -> Self {
        Self(Arc::new(authenticator))
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = AuthService<S>;

    fn layer(&self, inner: S) -> AuthService<S> {
        AuthService { inner, authenticator: Arc::clone(&self.0) }
    }
}

/// The service that [`AuthLayer`] makes.
#[derive(Clone)]
pub(crate) struct AuthService<S> {
    inner: S,
    authenticator: Arc<Authenticator>,
}

impl<S> Service<Request<Body>> for AuthService<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if self.authenticator.is_open(request.uri().path()) {
            return Box::pin(self.inner.call(request));
        }
        let authenticator = Arc::clone(&self.authenticator);
        // The one that was asked whether it is ready goes with the call.
        let waiting = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, waiting);
        Box::pin(async move {
            let peer = request.extensions().get::<Peer>();
            match authenticator.authenticate(request.headers(), peer).await {
                Ok(caller) => {
                    request.extensions_mut().insert(caller);
                    inner.call(request).await
                }
                Err(reason) => {
                    let address = Peer::address_of(request.extensions());
                    tracing::warn!(target: "partita::audit", reason, client.address = address, "call without a valid credential refused");
                    Ok(unauthenticated(reason).into_http())
                }
            }
        })
    }
}
