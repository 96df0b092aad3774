use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use partita_store::DatabaseUrl;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::TestDatabase;

/// What of the store's SQL the proxy recognises the statement by that records a batch.
const RECORD_MARK: &str = "recorded_partitioned AS";
/// What PostgreSQL says of a session that is in no transaction.
const IDLE: u8 = b'I';

/// A statement that a connection can be cut at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statement {
    /// The one that records a batch and is a transaction by itself.
    Record,
    /// The COMMIT of a transaction of several statements.
    Commit,
}

/// When the connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Before PostgreSQL gets the statement.
    Before,
    /// When PostgreSQL has got all of the statement; nobody waits for its answer.
    During,
    /// When PostgreSQL has answered; the answer is lost.
    After,
}

#[derive(Debug, Default)]
struct Plan {
    armed: Option<(Cut, Statement)>,
    closes_after_cut: bool,
    closed: bool,
}

/// Stands between a store and its database, and knows enough of the protocol (manual, chapter 55) to cut a
/// connection at a statement. Dropped, it cuts all of them.
pub struct Proxy {
    url: DatabaseUrl,
    plan: Arc<Mutex<Plan>>,
    _serving: JoinSet<()>,
}

impl Proxy {
    /// Stands before a database, and lets everything through.
    pub async fn start(database: &TestDatabase) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let url = database.url_through(listener.local_addr().unwrap());
        let plan = Arc::default();
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, database.address(), Arc::clone(&plan)));
        Self { url, plan, _serving: serving }
    }

    /// Where the store finds the database behind it.
    pub fn url(&self) -> DatabaseUrl {
        self.url.clone()
    }

    /// Cuts the next connection that sends the statement, once.
    pub fn cut(&self, cut: Cut, statement: Statement) {
        lock(&self.plan).armed = Some((cut, statement));
    }

    /// As [`cut`](Self::cut), and lets nobody in from then on.
    pub fn cut_and_close(&self, cut: Cut, statement: Statement) {
        self.cut(cut, statement);
        lock(&self.plan).closes_after_cut = true;
    }

    /// Lets everybody in again.
    pub fn open(&self) {
        *lock(&self.plan) = Plan::default();
    }

    /// Whether the statement was seen that a connection was to be cut at.
    pub fn has_cut(&self) -> bool {
        lock(&self.plan).armed.is_none()
    }
}

async fn serve(listener: TcpListener, database: String, plan: Arc<Mutex<Plan>>) {
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        if lock(&plan).closed {
            continue;
        }
        let (database, plan) = (database.clone(), Arc::clone(&plan));
        connections.spawn(async move {
            let server = TcpStream::connect(database).await?;
            client.set_nodelay(true)?;
            server.set_nodelay(true)?;
            Connection { client, server, known: HashSet::new(), status: IDLE, cut: None }.carry(&plan).await
        });
        while connections.try_join_next().is_some() {}
    }
}

struct Connection {
    client: TcpStream,
    server: TcpStream,
    /// The names of prepared statements that record a batch.
    known: HashSet<String>,
    /// What PostgreSQL said last of the session.
    status: u8,
    cut: Option<Cut>,
}

impl Connection {
    /// Carries messages until one side ends the connection, or it is to be cut: then both sides end.
    async fn carry(mut self, plan: &Mutex<Plan>) -> io::Result<()> {
        let (mut from_client, mut from_server) = (Vec::new(), Vec::new());
        // The first message of a client has no type.
        let mut type_bytes = 0;
        loop {
            let read = tokio::select! {
                read = self.client.read_buf(&mut from_client) => read?,
                read = self.server.read_buf(&mut from_server) => read?,
            };
            if read == 0 {
                return Ok(());
            }
            while let Some(message) = take_message(&mut from_client, type_bytes) {
                if type_bytes == 1 && self.cut.is_none() {
                    self.cut = self.find_cut(&message, plan);
                }
                if self.cut == Some(Cut::Before) {
                    return Ok(());
                }
                self.server.write_all(&message).await?;
                // `Q` is a whole statement; what was prepared ends with `S`.
                if self.cut == Some(Cut::During) && matches!(message[0], b'Q' | b'S') {
                    return Ok(());
                }
                type_bytes = 1;
            }
            while let Some(message) = take_message(&mut from_server, 1) {
                if message[0] == b'Z' {
                    self.status = message[5];
                }
                match self.cut {
                    None => self.client.write_all(&message).await?,
                    Some(_) if message[0] == b'Z' => return Ok(()),
                    Some(_) => {}
                }
            }
        }
    }

    /// Whether the connection is to be cut at this message.
    fn find_cut(&mut self, message: &[u8], plan: &Mutex<Plan>) -> Option<Cut> {
        let mut texts = message[5..].split(|byte| *byte == 0).map(String::from_utf8_lossy);
        let (first, second) = (texts.next()?, texts.next()?);
        let statement = match message[0] {
            b'P' if second.contains(RECORD_MARK) => {
                self.known.insert(first.into_owned());
                return None;
            }
            // A batch that is recorded inside of a transaction is not committed by that.
            b'B' if self.known.contains(&*second) && self.status == IDLE => Statement::Record,
            b'Q' if first == "COMMIT" => Statement::Commit,
            _ => return None,
        };
        let mut plan = lock(plan);
        let (cut, _) = plan.armed.take_if(|(_, wanted)| *wanted == statement)?;
        plan.closed = plan.closes_after_cut;
        Some(cut)
    }
}

/// The first whole message of what was read: its type, its length (itself included), its content.
fn take_message(buffer: &mut Vec<u8>, type_bytes: usize) -> Option<Vec<u8>> {
    let length = buffer.get(type_bytes..type_bytes + 4)?.try_into().map(u32::from_be_bytes).unwrap();
    let whole = type_bytes + usize::try_from(length).unwrap();
    (buffer.len() >= whole).then(|| buffer.drain(..whole).collect())
}

fn lock(plan: &Mutex<Plan>) -> MutexGuard<'_, Plan> {
    plan.lock().unwrap()
}
