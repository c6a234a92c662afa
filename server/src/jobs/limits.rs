//! How much one person may have going at once, so that nobody's work, and nobody's stolen session, keeps
//! others from theirs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Code, Error, Result};

/// Jobs of one person that run, wait or are queued.
pub const JOBS: Kind = Kind { most: 10, words: "jobs that are not over" };

/// Uploads of one person, files and transforms, that are on their way or being checked.
pub const UPLOADS: Kind = Kind { most: 4, words: "uploads on their way" };

/// Previews of one person, and looks into files, that are being computed.
pub const PREVIEWS: Kind = Kind { most: 4, words: "previews that are being computed" };

/// Reports, back-ups and exported files that one person is reading.
pub const READS: Kind = Kind { most: 6, words: "downloads and reports that are being read" };

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kind {
    most: usize,
    words: &'static str,
}

impl Kind {
    /// How many of them one person may have at the same time.
    pub fn most(self) -> usize {
        self.most
    }
}

type Taken = Mutex<HashMap<(Kind, String), usize>>;

/// The places that are taken now.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(Arc<Taken>);

impl Places {
    /// Takes a place for a person; [`Code::TooManyRequests`] when all of theirs are taken.
    pub(super) fn take(&self, kind: Kind, person: &str) -> Result<Place> {
        let mut taken = self.lock();
        let count = taken.entry((kind, person.to_owned())).or_default();
        if *count >= kind.most {
            return Err(Error::new(
                Code::TooManyRequests,
                format!("You have {count} {}; more than {} at once are not allowed.", kind.words, kind.most),
            ));
        }
        *count += 1;
        Ok(self.place(kind, person))
    }

    /// Takes a place whether or not one is free, for what was let in before.
    pub(super) fn take_anyway(&self, kind: Kind, person: &str) -> Place {
        *self.lock().entry((kind, person.to_owned())).or_default() += 1;
        self.place(kind, person)
    }

    fn place(&self, kind: Kind, person: &str) -> Place {
        Place { places: self.clone(), key: (kind, person.to_owned()) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(Kind, String), usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Holds one of the places of a person until dropped. The default value holds none.
#[derive(Debug)]
pub struct Place {
    places: Places,
    key: (Kind, String),
}

impl Default for Place {
    fn default() -> Self {
        Self { places: Places::default(), key: (READS, String::new()) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        if let Some(count) = taken.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_for_each_person_and_come_back() {
        let places = Places::default();
        let mut taken: Vec<Place> = (0..4).map(|_| places.take(UPLOADS, "ada").unwrap()).collect();
        let error = places.take(UPLOADS, "ada").unwrap_err();
        assert_eq!(error.code, Code::TooManyRequests);
        assert!(error.message.contains("4 uploads"), "{}", error.message);
        let _others = (places.take(UPLOADS, "bob").unwrap(), places.take(JOBS, "ada").unwrap());
        taken.pop();
        taken.push(places.take(UPLOADS, "ada").unwrap());
        taken.push(places.take_anyway(UPLOADS, "ada"));
        taken.pop();
        assert!(places.take(UPLOADS, "ada").is_err());
        taken.clear();
        places.take(UPLOADS, "ada").unwrap();
    }
}
