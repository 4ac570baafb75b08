//! Whether a whole view hangs together. Operations and merges keep it so; a view read back from a snapshot is
//! checked once.

use super::View;
use crate::ids::{AttachmentKey, EdgeId, NodeId, TargetId};

/// What in a view refers to something that is not there.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Broken {
    /// An edge without one of its ends.
    #[error("edge {edge} needs node {node}, which is not there")]
    Edge {
        /// The edge.
        edge: EdgeId,
        /// The end that is missing.
        node: NodeId,
    },
    /// An attachment without its target.
    #[error("attachment `{key}` needs {target}, which is not there")]
    Attachment {
        /// The target that is missing.
        target: TargetId,
        /// The key.
        key: AttachmentKey,
    },
}

impl View {
    /// Checks that every edge has its ends and every attachment its target. O(n).
    ///
    /// # Errors
    /// The first that has not.
    pub fn check(&self) -> Result<(), Broken> {
        for (id, edge) in self.edges.iter() {
            let missing = [edge.from, edge.to]
                .into_iter()
                .find(|node| self.node(node).is_none());
            if let Some(node) = missing {
                let edge = EdgeId(actum_model::Hash(*id));
                return Err(Broken::Edge { edge, node });
            }
        }
        for (path, attachment) in self.attachments.iter() {
            let target = crate::content::path_target(path);
            if !self.has_target(&target) {
                let key = attachment.key().clone();
                return Err(Broken::Attachment { target, key });
            }
        }
        Ok(())
    }
}
