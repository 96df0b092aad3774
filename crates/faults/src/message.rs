/// The first whole message of what was read: its type, its length (itself included), its content. A client's first
/// message has no type.
pub(crate) fn take_message(buffer: &mut Vec<u8>, type_bytes: usize) -> Option<Vec<u8>> {
    let length = buffer.get(type_bytes..type_bytes + 4)?.try_into().map(u32::from_be_bytes).ok()?;
    let whole = type_bytes + usize::try_from(length).ok()?;
    (buffer.len() >= whole).then(|| buffer.drain(..whole).collect())
}

/// The texts of a message, each ended by a zero: the first two.
pub(crate) fn texts(message: &[u8]) -> Option<(String, String)> {
    let mut texts = message.get(5..)?.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    Some((texts.next()?.into_owned(), texts.next()?.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_taken_when_it_is_whole() {
        let mut buffer = b"Q\0\0\0\x0bCOMMIT".to_vec();
        assert_eq!(take_message(&mut buffer, 1), None);
        buffer.extend(b"\0X");
        assert_eq!(take_message(&mut buffer, 1).as_deref(), Some(&b"Q\0\0\0\x0bCOMMIT\0"[..]));
        assert_eq!(buffer, b"X");
    }

    #[test]
    fn the_first_message_of_a_client_has_no_type() {
        let mut buffer = b"\0\0\0\x08abcdrest".to_vec();
        assert_eq!(take_message(&mut buffer, 0).as_deref(), Some(&b"\0\0\0\x08abcd"[..]));
        assert_eq!(buffer, b"rest");
    }

    #[test]
    fn a_statement_is_its_name_and_its_text() {
        let message = b"P\0\0\0\x10name\0SELECT 1\0\0\0";
        assert_eq!(texts(message), Some(("name".to_owned(), "SELECT 1".to_owned())));
    }
}
