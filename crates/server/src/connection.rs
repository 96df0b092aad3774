mod peer;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::stream::FuturesUnordered;
use futures_util::{Stream, StreamExt as _, stream};
use partita_store::metrics::{CONNECTIONS, SHED};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

pub(crate) use self::peer::Peer;
use crate::limits::{ACCEPT_PAUSE, GREETING_BYTES, GREETING_TIMEOUT, HANDSHAKE_TIMEOUT, HANDSHAKES_MAX};
use crate::tls::Tls;

/// A client's connection that can be cut: tonic waits for open calls as long as they take, and has no other way
/// to end them.
pub(crate) struct Connection {
    socket: Socket,
    peer: Peer,
    /// None once the client has said what it speaks.
    greeting: Option<Greeting>,
    _seat: Seat,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// What is still to come before a connection is one of HTTP/2, and until when.
struct Greeting {
    bytes_left: usize,
    overdue: Pin<Box<Sleep>>,
}

/// A connection's place among those that may be open.
struct Seat {
    _permit: OwnedSemaphorePermit,
}

impl Seat {
    fn take(seats: &Arc<Semaphore>) -> Option<Self> {
        let _permit = Arc::clone(seats).try_acquire_owned().ok()?;
        CONNECTIONS.shift(1.0, []);
        Some(Self { _permit })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        CONNECTIONS.shift(-1.0, []);
    }
}

enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// The connections that come in on `listener`, encrypted where there is TLS, as many as may be open at once; all of them
/// end when `cut` is cancelled. It never ends by itself: an accept that fails is logged and tried again.
pub(crate) fn incoming(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    connections_max: usize,
    cut: CancellationToken,
) -> impl Stream<Item = Result<Connection, Infallible>> {
    let seats = Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS)));
    let door = Door { listener, tls, seats, cut, handshakes: FuturesUnordered::new() };
    stream::unfold(door, |mut door| async move {
        let connection = door.next().await;
        Some((Ok(connection), door))
    })
}

/// Where connections come in. A client that is slow to agree on TLS keeps no other one waiting.
struct Door {
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    seats: Arc<Semaphore>,
    cut: CancellationToken,
    handshakes: FuturesUnordered<Handshake>,
}

type Handshake = Pin<Box<dyn Future<Output = Option<(Box<TlsStream<TcpStream>>, Guest)>> + Send>>;

/// Who comes in, and his place.
type Guest = (Peer, Seat);

impl Door {
    async fn next(&mut self) -> Connection {
        loop {
            tokio::select! {
                Some(agreed) = self.handshakes.next(), if !self.handshakes.is_empty() => {
                    if let Some((stream, guest)) = agreed {
                        return self.connection(Socket::Tls(stream), guest);
                    }
                }
                accepted = self.listener.accept(), if self.handshakes.len() < HANDSHAKES_MAX => match accepted {
                    Ok((socket, address)) => {
                        // Closed at once: a client that is left waiting would not look for another process.
                        let Some(seat) = Seat::take(&self.seats) else {
                            SHED.add(1, ["connections"]);
                            continue;
                        };
                        let guest = (Peer::at(address.ip()), seat);
                        // Small answers must not wait for the acknowledgement of the ones before (Nagle).
                        if let Err(error) = socket.set_nodelay(true) {
                            tracing::debug!(%error, "tcp_nodelay could not be set");
                        }
                        match &self.tls {
                            None => return self.connection(Socket::Plain(socket), guest),
                            Some(tls) => self.handshakes.push(Box::pin(shake_hands(Arc::clone(tls), socket, guest))),
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

    fn connection(&self, socket: Socket, (peer, seat): Guest) -> Connection {
        let certificate = match &socket {
            Socket::Plain(_) => None,
            Socket::Tls(stream) => stream.get_ref().1.peer_certificates().and_then(<[_]>::first),
        };
        let peer = match certificate {
            Some(certificate) => peer.with(certificate),
            None => peer,
        };
        let greeting =
            Some(Greeting { bytes_left: GREETING_BYTES, overdue: Box::pin(sleep(GREETING_TIMEOUT)) });
        Connection { socket, peer, greeting, _seat: seat, cut: Box::pin(self.cut.clone().cancelled_owned()) }
    }
}

async fn shake_hands(
    tls: Arc<Tls>,
    socket: TcpStream,
    guest: Guest,
) -> Option<(Box<TlsStream<TcpStream>>, Guest)> {
    match timeout(HANDSHAKE_TIMEOUT, tls.acceptor().accept(socket)).await {
        Ok(Ok(stream)) => Some((Box::new(stream), guest)),
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
        let before = buffer.filled().len();
        let read = match &mut self.socket {
            Socket::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            Socket::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        };
        let Some(greeting) = &mut self.greeting else { return read };
        greeting.bytes_left = greeting.bytes_left.saturating_sub(buffer.filled().len() - before);
        if greeting.bytes_left == 0 {
            self.greeting = None;
        } else if read.is_pending() && greeting.overdue.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client says nothing")));
        }
        read
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
