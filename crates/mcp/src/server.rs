//! What the protocol asks of a server: who it is, which tools it has, and calls of them. The library speaks both forms
//! of the protocol, with `initialize` and without; nothing here differs between them.

use crate::call::Call;
use crate::leave::Leave;
use crate::link::Link;
use crate::report::Report;
use crate::tools::{self, TOOLS};
use actum_model::{ErrorCode, Fault};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CustomRequest, CustomResult, Implementation, ListToolsResult,
    PaginatedRequestParams, ProtocolVersion, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::{ErrorData, ServerHandler};
use serde_json::{Value, json};
use std::sync::Arc;

/// What a model reads about the server as a whole.
const INSTRUCTIONS: &str = "Actum carries out what you ask for, under the operator's rules, and records each call with its \
    outcome before you see it. All calls of this connection take turns in one session, one at a time. An error tells its \
    code, what happened and what to do (`hint`): act on the hint. If a result says that it is not over, go on with \
    command_wait and its command id; never repeat the call. If it says in_doubt, nobody knows whether it happened: do not \
    do it again, tell the user, who can resolve it. history shows what was already done.";

/// See the head of the file.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    link: Arc<Link>,
    leave: Leave,
    wait_ms: u64,
    tools: Arc<Vec<Tool>>,
}

impl Server {
    pub(crate) fn new(link: Arc<Link>, wait_ms: u64, leave: Leave) -> Server {
        let tools = TOOLS.iter().filter_map(|row| row.tool(wait_ms)).collect();
        Server {
            link,
            leave,
            wait_ms,
            tools: Arc::new(tools),
        }
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let about = Implementation::new("actum", env!("CARGO_PKG_VERSION"))
            .with_title("Actum")
            .with_description("Carries out what agents ask for, under rules, on the record");
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(about)
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.tools.as_ref().clone()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(row) = tools::find(&request.name) else {
            let names: Vec<&str> = TOOLS.iter().map(|row| row.name).collect();
            let got = actum_model::json::shorten(&request.name);
            let message = format!("unknown tool `{got}`, expected one of {}", names.join(", "));
            return Err(ErrorData::invalid_params(message, None));
        };
        let call = Call {
            link: &self.link,
            leave: &self.leave,
            request: &context,
        };
        let arguments = request.arguments.unwrap_or_default();
        let report = call.run(row, arguments, self.wait_ms).await;
        Ok(report.into_result().into())
    }

    /// A call whose parameters the library could not read comes here. Where the fault is in the arguments it is told to
    /// the model, which can do better.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        if request.method != "tools/call" {
            return Err(ErrorData::new(
                rmcp::model::ErrorCode::METHOD_NOT_FOUND,
                request.method,
                None,
            ));
        }
        let known = request
            .params
            .as_ref()
            .and_then(|params| params.get("name"))
            .and_then(Value::as_str)
            .and_then(tools::find);
        if known.is_none() {
            let message = "expected `name`, the name of a tool, and `arguments`, an object";
            return Err(ErrorData::invalid_params(message, None));
        }
        let fault = Fault::new(ErrorCode::InvalidInput, "expected `arguments` to be an object")
            .with_hint("call again with arguments that fit the tool's input schema; nothing was done");
        let mut result = serde_json::to_value(Report::of_fault(&fault).into_result()).unwrap_or_default();
        let modern = context
            .protocol_version()
            .is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str());
        if let Value::Object(members) = &mut result {
            if modern {
                members.insert("resultType".into(), json!("complete"));
            } else {
                members.remove("resultType");
            }
        }
        Ok(CustomResult::new(result))
    }
}
