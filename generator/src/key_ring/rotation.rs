//! The three steps that replace a key. Each can be repeated: a ring that a step has changed already stays as it is.

use mooring_policy::keys::Entry;

use super::entry::{NoEntry, new_entry};

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Appends a new key with this ID, or with an unused one.
    Append(Option<u8>),
    /// Moves a key to the front.
    Promote(u8),
    /// Removes a key.
    Remove(u8),
}

/// Why a step is impossible.
#[derive(Debug, thiserror::Error)]
pub enum Impossible {
    /// The ring has no such key.
    #[error("the ring has no key with the ID {0:02x}; append it first")]
    Missing(u8),
    /// The key is in use for new tokens.
    #[error("the key with the ID {0:02x} is the first one, which encrypts new tokens; promote another key first")]
    First(u8),
    /// No new key can be made.
    #[error(transparent)]
    Entry(#[from] NoEntry),
}

impl Step {
    /// Changes a ring. The result says why the ring stays as it is, if it does.
    pub fn apply(self, ring: &mut Vec<Entry>) -> Result<Option<String>, Impossible> {
        match self {
            Self::Append(Some(id)) if position(ring, id).is_some() => {
                Ok(Some(format!("the ring already has a key with the ID {id:02x}")))
            }
            Self::Append(id) => {
                ring.push(new_entry(id, ring)?);
                Ok(None)
            }
            Self::Promote(id) => {
                let position = position(ring, id).ok_or(Impossible::Missing(id))?;
                if let Some(up_to_it) = ring.get_mut(..=position) {
                    up_to_it.rotate_right(1);
                }
                Ok((position == 0).then(|| format!("the key with the ID {id:02x} is already the first one")))
            }
            Self::Remove(id) => match position(ring, id) {
                Some(0) => Err(Impossible::First(id)),
                Some(_) => {
                    ring.retain(|entry| entry.id() != id);
                    Ok(None)
                }
                None => Ok(Some(format!("the ring has no key with the ID {id:02x}"))),
            },
        }
    }
}

fn position(ring: &[Entry], id: u8) -> Option<usize> {
    ring.iter().position(|entry| entry.id() == id)
}

#[cfg(test)]
mod tests {
    use mooring_policy::keys;

    use super::*;

    fn ring(ids: &[u8]) -> Vec<Entry> {
        ids.iter().map(|id| new_entry(Some(*id), &[]).unwrap()).collect()
    }

    fn ids(ring: &[Entry]) -> Vec<u8> {
        ring.iter().map(Entry::id).collect()
    }

    #[test]
    fn each_step_changes_the_ring_once() {
        let mut ring = ring(&[1, 2]);
        for (step, expected) in [
            (Step::Append(Some(3)), [1, 2, 3].as_slice()),
            (Step::Promote(3), &[3, 1, 2]),
            (Step::Remove(1), &[3, 2]),
        ] {
            assert_eq!(step.apply(&mut ring).unwrap(), None, "{step:?}");
            assert_eq!(ids(&ring), expected, "{step:?}");
            let once = keys::reveal(&ring);
            assert!(step.apply(&mut ring).unwrap().is_some(), "{step:?}");
            assert_eq!(keys::reveal(&ring), once, "{step:?}");
        }
    }

    #[test]
    fn the_key_of_new_tokens_stays() {
        let mut ring = ring(&[1, 2]);
        assert!(matches!(Step::Remove(1).apply(&mut ring), Err(Impossible::First(1))));
        assert!(matches!(Step::Promote(9).apply(&mut ring), Err(Impossible::Missing(9))));
        assert_eq!(ids(&ring), [1, 2]);
    }
}
