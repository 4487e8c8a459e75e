//! A new entry of a ring.

use mooring_policy::keys::{Entry, InvalidKeys, SECRET_LENGTH};

/// Why no new entry can be made.
#[derive(Debug, thiserror::Error)]
pub enum NoEntry {
    /// The text is not a valid ring.
    #[error("{}", listed(.0))]
    Ring(Vec<InvalidKeys>),
    /// The id is taken: tokens name their key by its id.
    #[error("the ring has a key with the ID {0:02x}")]
    Taken(u8),
    /// All ids are taken: an id is one byte.
    #[error("the ring has a key for each of the 256 IDs; remove those that no session needs")]
    Full,
    /// The operating system provides no random bytes.
    #[error("the operating system provides no random bytes: {0}")]
    Random(#[from] getrandom::Error),
}

fn listed(invalid: &[InvalidKeys]) -> String {
    let lines: Vec<String> = invalid.iter().map(InvalidKeys::to_string).collect();
    lines.join("\n")
}

/// A new entry with random bytes from the operating system. Without an `id`, a random one is chosen that no other entry has.
pub fn new_entry(id: Option<u8>, others: &[Entry]) -> Result<Entry, NoEntry> {
    let is_free = |id: &u8| others.iter().all(|other| other.id() != *id);
    let id = match id {
        Some(id) if !is_free(&id) => return Err(NoEntry::Taken(id)),
        Some(id) => id,
        None => {
            let free: Vec<u8> = (0..=u8::MAX).filter(is_free).collect();
            let mut random = [0; 4];
            getrandom::fill(&mut random)?;
            let draw = u32::from_le_bytes(random);
            let position = usize::try_from(draw).unwrap_or_default().checked_rem(free.len());
            *position.and_then(|position| free.get(position)).ok_or(NoEntry::Full)?
        }
    };
    let mut secret = [0; SECRET_LENGTH];
    getrandom::fill(&mut secret)?;
    Ok(Entry::new(id, secret))
}
