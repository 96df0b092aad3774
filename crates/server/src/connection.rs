mod peer;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::stream::FuturesUnordered;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

pub(crate) use self::peer::Peer;
use crate::limits::{ACCEPT_PAUSE, HANDSHAKE_TIMEOUT, HANDSHAKES_MAX};
use crate::tls::Tls;

/// A client's connection that can be cut: tonic waits for open calls as long as they take, and has no other way
/// to end them.
pub(crate) struct Connection {
    socket: Socket,
    peer: Peer,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// The connections that come in on `listener`, encrypted where there is TLS; all of them end when `cut` is cancelled. It
/// never ends by itself: an accept that fails is logged and tried again.
pub(crate) fn incoming(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    cut: CancellationToken,
) -> impl Stream<Item = Result<Connection, Infallible>> {
    let door = Door { listener, tls, cut, handshakes: FuturesUnordered::new() };
    stream::unfold(door, |mut door| async move {
        let connection = door.next().await;
        Some((Ok(connection), door))
    })
}

/// Where connections come in. A client that is slow to agree on TLS keeps no other one waiting.
struct Door {
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    cut: CancellationToken,
    handshakes: FuturesUnordered<Handshake>,
}

type Handshake = Pin<Box<dyn Future<Output = Option<Box<TlsStream<TcpStream>>>> + Send>>;

impl Door {
    async fn next(&mut self) -> Connection {
        loop {
            tokio::select! {
                Some(agreed) = self.handshakes.next(), if !self.handshakes.is_empty() => {
                    if let Some(stream) = agreed {
                        return self.connection(Socket::Tls(stream));
                    }
                }
                accepted = self.listener.accept(), if self.handshakes.len() < HANDSHAKES_MAX => match accepted {
                    Ok((socket, _address)) => {
                        // Small answers must not wait for the acknowledgement of the ones before (Nagle).
                        if let Err(error) = socket.set_nodelay(true) {
                            tracing::debug!(%error, "tcp_nodelay could not be set");
                        }
                        match &self.tls {
                            None => return self.connection(Socket::Plain(socket)),
                            Some(tls) => self.handshakes.push(Box::pin(shake_hands(Arc::clone(tls), socket))),
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }

    fn connection(&self, socket: Socket) -> Connection {
        let certificate = match &socket {
            Socket::Plain(_) => None,
            Socket::Tls(stream) => stream.get_ref().1.peer_certificates().and_then(<[_]>::first),
        };
        let peer = certificate.map(Peer::of).unwrap_or_default();
        Connection { socket, peer, cut: Box::pin(self.cut.clone().cancelled_owned()) }
    }
}

async fn shake_hands(tls: Arc<Tls>, socket: TcpStream) -> Option<Box<TlsStream<TcpStream>>> {
    match timeout(HANDSHAKE_TIMEOUT, tls.acceptor().accept(socket)).await {
        Ok(Ok(stream)) => Some(Box::new(stream)),
        Ok(Err(error)) => {
            tracing::debug!(%error, "no tls with a client");
            None
        }
        Err(_) => {
            tracing::debug!("no tls with a client in time");
            None
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // An HTTP/2 connection always waits for the next frame, so that the cut wakes it here.
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "drain timeout passed",
            )));
        }
        match &mut self.socket {
            Socket::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            Socket::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.socket {
            Socket::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Socket::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.socket {
            Socket::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
            Socket::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.socket {
            Socket::Plain(socket) => socket.is_write_vectored(),
            Socket::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
