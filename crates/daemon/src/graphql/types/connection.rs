//! Connections: a page of a listing with cursors.

use super::content::{Attachment, GraphEdge, GraphNode, Neighbor};
use super::diff::GraphChange;
use super::history::HistoryCommand;
use super::rewrite::RewriteEvent;
use super::sws::Sws;
use async_graphql::{Object, OutputType, SimpleObject};

/// Where a page stands in its listing.
#[derive(SimpleObject, Clone, Debug)]
pub(crate) struct PageInfo {
    /// Cursor for the page behind this one: give it as `after`. Without one the listing is empty.
    end_cursor: Option<String>,
    /// Whether there is more behind it. A page may hold fewer entries than asked for and still have more behind it.
    has_next_page: bool,
    /// Cursor of the first entry.
    start_cursor: Option<String>,
    /// Whether the page was asked for behind a cursor.
    has_previous_page: bool,
}

/// An entry with its cursor.
pub(crate) struct Item<T> {
    cursor: String,
    node: T,
}

/// An entry of a page with its cursor.
#[Object(
    concrete(name = "GraphNodeConnectionEdge", params(GraphNode)),
    concrete(name = "GraphEdgeConnectionEdge", params(GraphEdge)),
    concrete(name = "AttachmentConnectionEdge", params(Attachment)),
    concrete(name = "NeighborConnectionEdge", params(Neighbor)),
    concrete(name = "RewriteEventConnectionEdge", params(RewriteEvent)),
    concrete(name = "SwsConnectionEdge", params(Sws)),
    concrete(name = "GraphChangeConnectionEdge", params(GraphChange)),
    concrete(name = "HistoryConnectionEdge", params(HistoryCommand))
)]
impl<T: OutputType> Item<T> {
    /// Its place in the listing: give it as `after` to go on behind it.
    async fn cursor(&self) -> &str {
        &self.cursor
    }

    /// The entry.
    async fn node(&self) -> &T {
        &self.node
    }
}

/// A page of a listing.
pub(crate) struct Connection<T> {
    items: Vec<Item<T>>,
    page_info: PageInfo,
}

impl<T> Connection<T> {
    /// A page of entries with their cursors. `next` is the cursor to go on behind, if there may be more.
    pub(crate) fn new(entries: Vec<(String, T)>, next: Option<String>, behind: bool) -> Connection<T> {
        let cursor = |entry: Option<&(String, T)>| entry.map(|(cursor, _)| cursor.clone());
        let page_info = PageInfo {
            has_next_page: next.is_some(),
            end_cursor: next.or_else(|| cursor(entries.last())),
            start_cursor: cursor(entries.first()),
            has_previous_page: behind,
        };
        let items = entries.into_iter().map(|(cursor, node)| Item { cursor, node });
        Connection {
            items: items.collect(),
            page_info,
        }
    }

    /// The entries alone.
    pub(crate) fn into_nodes(self) -> Vec<T> {
        self.items.into_iter().map(|item| item.node).collect()
    }
}

/// A page of a listing, sorted so that following the cursors neither repeats nor misses.
#[Object(
    concrete(name = "GraphNodeConnection", params(GraphNode)),
    concrete(name = "GraphEdgeConnection", params(GraphEdge)),
    concrete(name = "AttachmentConnection", params(Attachment)),
    concrete(name = "NeighborConnection", params(Neighbor)),
    concrete(name = "RewriteEventConnection", params(RewriteEvent)),
    concrete(name = "SwsConnection", params(Sws)),
    concrete(name = "GraphChangeConnection", params(GraphChange)),
    concrete(name = "HistoryConnection", params(HistoryCommand))
)]
impl<T: OutputType> Connection<T>
where
    Item<T>: OutputType,
{
    /// The entries of the page, each with its cursor.
    async fn edges(&self) -> &[Item<T>] {
        &self.items
    }

    /// The entries of the page.
    async fn nodes(&self) -> Vec<&T> {
        self.items.iter().map(|item| &item.node).collect()
    }

    /// Where the page stands in the listing.
    async fn page_info(&self) -> &PageInfo {
        &self.page_info
    }
}
