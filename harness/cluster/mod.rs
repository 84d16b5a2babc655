//! Kubernetes clusters that a world can live on, and the recorder that follows the objects in them.

pub mod embedded;
pub mod recorder;
