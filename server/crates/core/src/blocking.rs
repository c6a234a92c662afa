//! Runs work that blocks a thread from async code.

use crate::error::{Error, Result};

/// Runs `work` on tokio's pool of blocking threads. Fails with the error of `work`, or with
/// [`Code::Internal`](crate::error::Code::Internal) if it panics.
pub async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use crate::message::message;

    #[tokio::test]
    async fn errors_are_returned_and_panics_are_internal_errors() {
        assert_eq!(run_blocking(|| Ok(7)).await.unwrap(), 7);
        let error = run_blocking(|| Err::<(), _>(Error::new(Code::Storage, message!("broken")))).await.unwrap_err();
        assert_eq!((error.code, error.message.to_string().as_str()), (Code::Storage, "broken"));
        let error = run_blocking(|| -> Result<()> { panic!("a bug") }).await.unwrap_err();
        assert_eq!(error.code, Code::Internal);
    }
}
