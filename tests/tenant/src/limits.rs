//! Rate limits: token buckets, the tenant's own first, then the endpoint's (docs/auth0/rate-limits.md).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// A token bucket: its capacity and its refill rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Capacity in requests.
    pub burst: u32,
    /// Refill rate in requests per minute.
    pub per_minute: u32,
}

/// The rate limits of a plan; `None` means unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimits {
    /// The whole Management API.
    pub tenant: Option<Bucket>,
    /// `GET /users`.
    pub users: Option<Bucket>,
    /// `GET /connections`.
    pub connections: Option<Bucket>,
    /// All other endpoints together, jobs included.
    pub other: Option<Bucket>,
}

impl RateLimits {
    /// No limits and no headers.
    pub const UNLIMITED: RateLimits = RateLimits { tenant: None, users: None, connections: None, other: None };
    /// The Free plan.
    pub const FREE: RateLimits = RateLimits { tenant: Some(Bucket { burst: 2, per_minute: 120 }), ..Self::UNLIMITED };
    /// The Essentials and Professional plans.
    pub const ESSENTIALS: RateLimits = RateLimits {
        tenant: None,
        users: Some(Bucket { burst: 40, per_minute: 500 }),
        connections: Some(Bucket { burst: 5, per_minute: 50 }),
        other: Some(Bucket { burst: 10, per_minute: 150 }),
    };
    /// The Enterprise plan, production.
    pub const ENTERPRISE: RateLimits =
        RateLimits { tenant: Some(Bucket { burst: 50, per_minute: 960 }), ..Self::UNLIMITED };
    /// High limits, but with the headers: the default.
    pub const GENEROUS: RateLimits =
        RateLimits { tenant: Some(Bucket { burst: 1000, per_minute: 60_000 }), ..Self::UNLIMITED };
}

/// The endpoint bucket of a request; each request also uses the tenant's bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Endpoint {
    Tenant,
    Users,
    Connections,
    Other,
}

impl Endpoint {
    /// The bucket of a path below `/api/v2`.
    pub(crate) fn of(method: &str, path: &str) -> Self {
        match path.trim_end_matches('/') {
            "/users" if method == "GET" => Endpoint::Users,
            "/connections" if method == "GET" => Endpoint::Connections,
            _ => Endpoint::Other,
        }
    }
}

/// The state of a bucket, for the headers of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BucketState {
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
    /// Epoch seconds at which the next request is allowed (when none remains) or the bucket is full.
    pub(crate) reset: i64,
    pub(crate) allowed: bool,
}

#[derive(Debug)]
pub(crate) struct Limiter {
    limits: Mutex<RateLimits>,
    levels: Mutex<HashMap<Endpoint, (f64, i64)>>,
}

impl Limiter {
    pub(crate) fn new(limits: RateLimits) -> Self {
        Limiter { limits: Mutex::new(limits), levels: Mutex::default() }
    }

    pub(crate) fn set(&self, limits: RateLimits) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = limits;
        self.levels.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Takes one request from the buckets at `now` (milliseconds). `None` if the request is not limited.
    pub(crate) fn take(&self, endpoint: Endpoint, now: i64) -> Option<BucketState> {
        let limits = *self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        let own = match endpoint {
            Endpoint::Tenant => None,
            Endpoint::Users => limits.users,
            Endpoint::Connections => limits.connections,
            Endpoint::Other => limits.other,
        };
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        let tenant = limits.tenant.map(|bucket| draw(&mut levels, Endpoint::Tenant, bucket, now));
        match (tenant, own) {
            (Some(standing), _) if !standing.allowed => Some(standing),
            (_, Some(bucket)) => Some(draw(&mut levels, endpoint, bucket, now)),
            (tenant, None) => tenant,
        }
    }
}

fn draw(levels: &mut HashMap<Endpoint, (f64, i64)>, endpoint: Endpoint, bucket: Bucket, now: i64) -> BucketState {
    let per_milli = f64::from(bucket.per_minute) / 60_000.0;
    let burst = f64::from(bucket.burst);
    let (level, since) = levels.entry(endpoint).or_insert((burst, now));
    *level = (*level + (now - *since).max(0) as f64 * per_milli).min(burst);
    *since = now;
    let allowed = *level >= 1.0;
    if allowed {
        *level -= 1.0;
    }
    let missing = if *level >= 1.0 { burst - *level } else { 1.0 - *level };
    let wait = if per_milli > 0.0 { missing / per_milli } else { 60_000.0 };
    BucketState {
        limit: bucket.burst,
        remaining: level.floor() as u32,
        reset: (now + wait.ceil() as i64 + 999).div_euclid(1000),
        allowed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_refills_with_time() {
        let limiter = Limiter::new(RateLimits::FREE);
        assert_eq!(
            limiter.take(Endpoint::Other, 0).map(|standing| (standing.allowed, standing.remaining)),
            Some((true, 1))
        );
        assert!(limiter.take(Endpoint::Other, 0).unwrap().allowed);
        let refused = limiter.take(Endpoint::Users, 0).unwrap();
        assert!(!refused.allowed && refused.reset == 1);
        assert!(limiter.take(Endpoint::Users, 500).unwrap().allowed);
        assert!(!limiter.take(Endpoint::Users, 500).unwrap().allowed);
    }

    #[test]
    fn endpoints_have_separate_buckets() {
        let limiter = Limiter::new(RateLimits::ESSENTIALS);
        for _ in 0..5 {
            assert!(limiter.take(Endpoint::Connections, 0).unwrap().allowed);
        }
        assert!(!limiter.take(Endpoint::Connections, 0).unwrap().allowed);
        assert!(limiter.take(Endpoint::Users, 0).unwrap().allowed);
        assert_eq!(Endpoint::of("GET", "/users/auth0%7Cx"), Endpoint::Other);
    }
}
