use partita_proof::within;
use tonic::{Status, Streaming};

use crate::server::CALL_LIMIT;

/// All messages of an answer.
///
/// # Errors
/// What the service answers at its end, or that there is none within the limit of a call.
pub async fn messages<T>(mut stream: Streaming<T>) -> Result<Vec<T>, Status> {
    let mut messages = Vec::new();
    let read = async {
        while let Some(message) = stream.message().await? {
            messages.push(message);
        }
        Ok(())
    };
    match within(CALL_LIMIT, "the last message of an answer", read).await {
        Ok(read) => read.map(|()| messages),
        Err(late) => Err(Status::deadline_exceeded(late.to_string())),
    }
}
