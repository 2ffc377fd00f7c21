/** What the service sends and takes. Made from its AsyncAPI and OpenAPI documents by `python -m stack.make_frames`. */

/** Safe in the broker: it will be committed or rejected, whatever crashes. */
export interface Accepted {
  type: "accepted";
  ref: string;
  client_message_id?: string;
  command_id?: string;
}

/** The outcome is not known in time: repeat the call with this as its `Idempotency-Key` (a message with its own id). */
export interface AcceptedJson {
  command_id: string;
}

export interface AccountChanges {
  disabled?: boolean | null;
  quotas?: Quotas | null;
  role?: "user" | "operator" | null;
}

/** A person as operators see them. quotas: their own. */
export interface AccountJson {
  created_at: string;
  disabled: boolean;
  display_name: string;
  email: string | null;
  id: string;
  kind: "human" | "assistant" | "bot";
  preferences: Record<string, unknown>;
  quotas: Record<string, unknown>;
  role: "user" | "operator";
  username: string;
}

export interface AgreedJson {
  by: string;
  at: string;
}

export interface AssistantJson {
  user_id: string;
  model: string | null;
  instructions: string | null;
}

/** To who called it, where it doesn't answer: the message stands. */
export interface AssistantSilent {
  type: "assistant.silent";
  chat_id: string;
  message_id: string;
  assistant_id: string;
  code: "banned" | "muted" | "not_allowed" | "off" | "quota_exceeded";
}

/** What is named changes, all of it at once; `model` and `instructions` take null. */
export interface AssistantUserChanges {
  asked_by?: "everyone" | "operators" | "listed" | null;
  description?: string | null;
  display_name?: string | null;
  instructions?: string | null;
  listed?: string[] | null;
  model?: string | null;
  parameters?: Parameters | null;
  provider?: string | null;
}

/** An assistant. model: null for the provider's. may_ask: whether you may, in a chat with it; policies: those that say no. listed, instructions: for who may configure it. */
export interface AssistantUserJson {
  asked_by: "everyone" | "operators" | "listed";
  description: string;
  display_name: string;
  instructions?: string | null;
  listed?: string[];
  may_ask: boolean;
  may_configure: boolean;
  model: string | null;
  parameters: Record<string, unknown>;
  policies?: string[];
  provider: string;
  user_id: string;
  username: string;
  version: number;
}

/** An assistant as it was from created_at on. created_by: null for the service. */
export interface AssistantVersionJson {
  asked_by: "everyone" | "operators" | "listed";
  created_at: string;
  created_by: string | null;
  description: string;
  display_name: string;
  instructions?: string | null;
  listed?: string[];
  may_ask: boolean;
  may_configure: boolean;
  model: string | null;
  parameters: Record<string, unknown>;
  policies?: string[];
  provider: string;
  user_id: string;
  username: string;
  version: number;
}

/** A time that the answer was taken up. end: `complete`, `stopped` or the failure's code; null while it is written, and where who wrote it died. calls: of the model, with those that were tried again. said: what the provider said of a failure, for who may configure assistants. */
export interface AttemptJson {
  attempt: number;
  calls: number;
  end: string | null;
  ended_at: string | null;
  first_token_ms: number | null;
  said?: string;
  started_at: string;
}

/** What an operator did. actor_id: null at the command line. */
export interface AuditJson {
  act: string;
  actor_id: string | null;
  at: string;
  details: Record<string, unknown>;
  id: string;
  target_id: string | null;
}

/** The token ends in so many seconds: send auth.refresh. */
export interface AuthExpiring {
  type: "auth.expiring";
  expires_in: number;
}

export interface AuthRefresh {
  ref: string;
  type: "auth.refresh";
  token: string;
}

/** Why; it is kept, and the chat is told. */
export interface Because {
  reason: string;
}

/** until: when it is over by itself; for ever without it. */
export interface BecauseUntil {
  reason: string;
  until?: string | null;
}

export interface Bodybackchannellogoutv1authprovidersprovideridbackchannellogoutpost {
  logout_token?: string;
}

export interface Bodytokenv1authtokenpost {
  code?: string;
  device?: string;
  grant_type?: string;
  password?: string;
  refresh_token?: string;
  subject_token?: string;
  subject_token_type?: string;
  username?: string;
}

export interface ChatChanges {
  archived?: boolean;
  assistant?: NewAssistant | null;
  assistant_consent?: boolean;
  history?: "all" | "from_joining";
  local_only?: boolean;
  title?: string | null;
}

export interface ChatCreated {
  chat_id: string;
  seq: number;
  at: string;
  actor_id: string | null;
  command_id?: string;
  type: "chat.created";
  chat: SharedChatJson;
  members: MemberJson[];
}

/** To one's own sessions. Hidden or not, a new message brings it back. */
export interface ChatHidden {
  type: "chat.hidden";
  chat_id: string;
  hidden: boolean;
}

/** You were added, or made it: the events after `after` follow. */
export interface ChatJoined {
  type: "chat.joined";
  chat: ChatJson;
  after: number;
}

/** A chat as one of its members sees it. */
export interface ChatJson {
  id: string;
  kind: "direct" | "group" | "assistant";
  title: string | null;
  archived: boolean;
  created_at: string;
  created_by: string;
  head: number;
  members_count: number;
  assistant?: AssistantJson;
  assistant_consent?: AgreedJson | null;
  history?: "all" | "from_joining";
  local_only: boolean;
  forked_from?: ForkJson;
  my_role: "owner" | "admin" | "member" | "reader";
  read_seq: number;
  unread: number;
  hidden: boolean;
  last_message: MessageJson | null;
}

export interface ChatUpdated {
  chat_id: string;
  seq: number;
  at: string;
  actor_id: string | null;
  command_id?: string;
  type: "chat.updated";
  chat: SharedChatJson;
}

/** Done without a new event: a repeat, or nothing to change. seq: of the first result. */
export interface Committed {
  type: "committed";
  ref?: string;
  chat_id: string;
  client_message_id?: string;
  command_id?: string;
  seq?: number;
}

/** A day in UTC. replies: asked for, however they ended. */
export interface DayOfUseJson {
  assistant_id: string;
  cost: number | null;
  day: string;
  input_tokens: number;
  output_tokens: number;
  replies: number;
}

/** This process goes down: close 1012 follows; reconnect anywhere and resume. */
export interface Draining {
  type: "draining";
  reconnect_after_ms: number;
}

/** Not accepted; the socket stays open, and the same id is good for another try. */
export interface Error {
  type: "error";
  ref?: string;
  code: "bad_json" | "unknown_type" | "invalid" | "empty" | "too_large" | "unauthenticated" | "not_found" | "not_allowed" | "muted" | "banned" | "archived" | "conflict" | "rate_limited" | "quota_exceeded" | "unavailable" | "outcome_unknown";
  reason: string;
  retry_after_ms?: number;
}

/** A durable event; which of the optional fields it has follows from its type. */
export interface EventJson {
  actor_id: string | null;
  at: string;
  chat?: SharedChatJson;
  chat_id: string;
  command_id?: string;
  emoji?: string;
  member?: MemberJson;
  members?: MemberJson[];
  message?: MessageJson;
  message_id?: string;
  reason?: "left" | "removed" | "banned";
  seq: number;
  text?: string;
  type: string;
  user_id?: string;
}

export interface Explain {
  action: string;
  chat_id: string;
  message_id?: string | null;
  user_id?: string | null;
}

/** facts: what the policies were told. */
export interface ExplainJson {
  decision: "allow" | "deny";
  facts: Record<string, unknown>;
  policies: string[];
}

export interface FailureJson {
  code: string;
  reason: string;
}

export interface Forgotten {
  username: string;
}

export interface ForkJson {
  chat_id: string;
  seq: number;
}

/** highlights: [start, length] of each word found in the body, in code points. */
export interface FoundMessageJson {
  attempt?: number;
  body: string | null;
  chat_id: string;
  client_message_id: string | null;
  created_at: string;
  deleted_at: string | null;
  edited_at: string | null;
  failure?: FailureJson;
  highlights: number[][];
  id: string;
  kind: "user" | "assistant" | "system";
  parent_id: string | null;
  queue?: number;
  reactions: ReactionJson[];
  regenerates?: string;
  reply_to: string | null;
  sender_id: string | null;
  seq: number;
  status: "pending" | "complete" | "stopped" | "failed";
  usage?: UsageJson;
  via?: ViaJson;
}

/** Not a member, or no such chat: drop it. */
export interface Gone {
  type: "gone";
  ref?: string;
  chat_id: string;
}

export interface Hello {
  type: "hello";
  ticket?: string | null;
  token?: string | null;
  resume?: Resume | null;
}

/** The chat as it shall be. members: who isn't named stays, unless `exact`. */
export interface HostedChatBody {
  exact?: boolean;
  kind?: "direct" | "group";
  members?: HostedMember[];
  title?: string | null;
}

export interface HostedChatJson {
  archived: boolean;
  external_id: string;
  head: number;
  id: string;
  kind: "direct" | "group";
  members_count: number;
  title: string | null;
}

export interface HostedMember {
  external_id: string;
  role?: "owner" | "admin" | "member" | "reader";
}

/** as: the external id of the user who says it; absent: the key's own bot. */
export interface HostedMessage {
  as?: string | null;
  body: string;
  client_message_id: string;
}

export interface HostedUserJson {
  attributes: Record<string, unknown>;
  disabled: boolean;
  display_name: string;
  external_id: string;
  id: string;
  username: string;
}

/** chat_id: null for one into the service. uses: how many may come by it; null: any number. used: how many did. */
export interface InvitationJson {
  chat_id: string | null;
  code: string;
  created_at: string;
  created_by: string;
  expires_at: string | null;
  url: string;
  used: number;
  uses: number | null;
}

/** Without itself. */
export interface KeyJson {
  created_at: string;
  expires_at: string | null;
  id: string;
  last_used_at: string | null;
  name: string;
  prefix: string;
  scopes: string[];
}

export interface LimitsJson {
  body_max: number;
  frame_max: number;
  group_members_max: number;
  sockets_per_user: number;
}

/** A link that is good once. */
export interface LinkJson {
  expires_at: string;
  url: string;
}

export interface ListedBySeqMessageJson {
  has_more: boolean;
  items: MessageJson[];
}

/** next_cursor: of the next page; null at the end. */
export interface ListedAccountJson {
  items: AccountJson[];
  next_cursor: string | null;
}

/** next_cursor: of the next page; null at the end. */
export interface ListedAssistantUserJson {
  items: AssistantUserJson[];
  next_cursor: string | null;
}

/** next_cursor: of the next page; null at the end. */
export interface ListedAssistantVersionJson {
  items: AssistantVersionJson[];
  next_cursor: string | null;
}

/** next_cursor: of the next page; null at the end. */
export interface ListedAuditJson {
  items: AuditJson[];
  next_cursor: string | null;
}

/** next_cursor: of the next page; null at the end. */
export interface ListedChatJson {
  items: ChatJson[];
  next_cursor: string | null;
}

/** next_cursor: of the next page; null at the end. */
export interface ListedFoundMessageJson {
  items: FoundMessageJson[];
  next_cursor: string | null;
}

/** next_cursor: of the next page; null at the end. */
export interface ListedInvitationJson {
  items: InvitationJson[];
  next_cursor: string | null;
}

/** next_cursor: of the next page; null at the end. */
export interface ListedKeyJson {
  items: KeyJson[];
  next_cursor: string | null;
}

/** next_cursor: of the next page; null at the end. */
export interface ListedMemberJson {
  items: MemberJson[];
  next_cursor: string | null;
}

/** next_cursor: of the next page; null at the end. */
export interface ListedMessageJson {
  items: MessageJson[];
  next_cursor: string | null;
}

/** next_cursor: of the next page; null at the end. */
export interface ListedPersonJson {
  items: PersonJson[];
  next_cursor: string | null;
}

/** next_cursor: of the next page; null at the end. */
export interface ListedPromptJson {
  items: PromptJson[];
  next_cursor: string | null;
}

/** next_cursor: of the next page; null at the end. */
export interface ListedReportJson {
  items: ReportJson[];
  next_cursor: string | null;
}

/** next_cursor: of the next page; null at the end. */
export interface ListedSessionJson {
  items: SessionJson[];
  next_cursor: string | null;
}

/** key: what the bot signs in with; shown here, and never again. */
export interface MadeBotJson {
  key: string;
  user: PersonJson;
}

/** With itself: shown here, and never again. */
export interface MadeKeyJson {
  created_at: string;
  expires_at: string | null;
  id: string;
  key: string;
  last_used_at: string | null;
  name: string;
  prefix: string;
  scopes: string[];
}

export interface ManyUsers {
  users: UserOfMany[];
}

export interface MemberAdded {
  chat_id: string;
  seq: number;
  at: string;
  actor_id: string | null;
  command_id?: string;
  type: "member.added";
  member: MemberJson;
}

export interface MemberChanges {
  attention?: "addressed" | "ambient" | "off" | null;
  budget_per_hour?: number | null;
  muted_until?: string | null;
  role?: "owner" | "admin" | "member" | "reader" | null;
}

/** attention, budget_per_hour: of an assistant: when it speaks, and how often an hour; null for no bound. */
export interface MemberJson {
  user: PersonJson;
  role: "owner" | "admin" | "member" | "reader";
  muted_until: string | null;
  joined_at: string;
  attention?: "addressed" | "ambient" | "off";
  budget_per_hour?: number | null;
}

/** The one that names you is the last frame of that chat. */
export interface MemberRemoved {
  chat_id: string;
  seq: number;
  at: string;
  actor_id: string | null;
  command_id?: string;
  type: "member.removed";
  user_id: string;
  reason: "left" | "removed" | "banned";
}

export interface MemberUnbanned {
  chat_id: string;
  seq: number;
  at: string;
  actor_id: string | null;
  command_id?: string;
  type: "member.unbanned";
  user_id: string;
}

export interface MemberUpdated {
  chat_id: string;
  seq: number;
  at: string;
  actor_id: string | null;
  command_id?: string;
  type: "member.updated";
  member: MemberJson;
}

/** An answer's one end: complete, stopped or failed. */
export interface MessageCompleted {
  chat_id: string;
  seq: number;
  at: string;
  actor_id: string | null;
  command_id?: string;
  type: "message.completed";
  message: MessageJson;
}

export interface MessageCreated {
  chat_id: string;
  seq: number;
  at: string;
  actor_id: string | null;
  command_id?: string;
  type: "message.created";
  message: MessageJson;
}

export interface MessageDelete {
  ref: string;
  chat_id: string;
  message_id: string;
  command_id?: string | null;
  type: "message.delete";
}

/** message: the tombstone. */
export interface MessageDeleted {
  chat_id: string;
  seq: number;
  at: string;
  actor_id: string | null;
  command_id?: string;
  type: "message.deleted";
  message: MessageJson;
}

export interface MessageEdit {
  ref: string;
  chat_id: string;
  message_id: string;
  command_id?: string | null;
  type: "message.edit";
  body: string;
}

export interface MessageEdited {
  chat_id: string;
  seq: number;
  at: string;
  actor_id: string | null;
  command_id?: string;
  type: "message.edited";
  message: MessageJson;
}

export interface MessageJson {
  id: string;
  chat_id: string;
  seq: number;
  sender_id: string | null;
  kind: "user" | "assistant" | "system";
  client_message_id: string | null;
  body: string | null;
  reply_to: string | null;
  status: "pending" | "complete" | "stopped" | "failed";
  created_at: string;
  edited_at: string | null;
  deleted_at: string | null;
  reactions: ReactionJson[];
  attempt?: number;
  regenerates?: string;
  failure?: FailureJson;
  via?: ViaJson;
  usage?: UsageJson;
  queue?: number;
  parent_id: string | null;
}

export interface MessagePin {
  ref: string;
  chat_id: string;
  message_id: string;
  command_id?: string | null;
  type: "message.pin";
}

export interface MessagePinned {
  chat_id: string;
  seq: number;
  at: string;
  actor_id: string | null;
  command_id?: string;
  type: "message.pinned";
  message_id: string;
}

export interface MessageSend {
  ref: string;
  chat_id: string;
  type: "message.send";
  client_message_id: string;
  body: string;
  reply_to?: string | null;
  parent_id?: string | null;
}

export interface MessageUnpin {
  ref: string;
  chat_id: string;
  message_id: string;
  command_id?: string | null;
  type: "message.unpin";
}

export interface MessageUnpinned {
  chat_id: string;
  seq: number;
  at: string;
  actor_id: string | null;
  command_id?: string;
  type: "message.unpinned";
  message_id: string;
}

export interface NewAssistant {
  instructions?: string | null;
  model?: string | null;
  user_id?: string | null;
}

export interface NewAssistantUser {
  asked_by?: "everyone" | "operators" | "listed";
  description?: string;
  display_name: string;
  instructions?: string | null;
  listed?: string[];
  model?: string | null;
  parameters?: Parameters;
  provider?: string;
  username: string;
}

export interface NewBody {
  body: string;
}

export interface NewBot {
  display_name: string;
  username: string;
}

export interface NewChat {
  assistant?: NewAssistant | null;
  kind: "direct" | "group" | "assistant";
  member_ids?: string[];
  title?: string | null;
}

export interface NewFork {
  message_id: string;
}

export interface NewInvitation {
  chat_id?: string | null;
  expires_at?: string | null;
  uses?: number | null;
}

export interface NewKey {
  expires_at?: string | null;
  name: string;
  scopes: ("read" | "write" | "ask")[];
}

export interface NewMember {
  role?: "owner" | "admin" | "member" | "reader";
  user_id: string;
}

export interface NewMessage {
  body: string;
  client_message_id: string;
  parent_id?: string | null;
  reply_to?: string | null;
}

export interface NewOwner {
  reason: string;
  user_id: string;
}

export interface NewPrompt {
  name: string;
  shared?: boolean;
  text: string;
}

export interface NewRemark {
  text: string;
}

export interface NewReport {
  reason: string;
}

export interface NewServiceKey {
  expires_at?: string | null;
  name: string;
  scopes: ("users" | "chats" | "messages" | "feed" | "tokens")[];
}

/** Of read.mark: chat_id, read_seq, unread. Of auth.refresh: expires_in, in seconds. */
export interface Ok {
  type: "ok";
  ref: string;
  chat_id?: string;
  read_seq?: number;
  unread?: number;
  expires_in?: number;
}

/** What the model is told; of what it refuses nothing. Those that are left out are the service's. */
export interface Parameters {
  max_output_tokens?: number | null;
  temperature?: number | null;
  top_p?: number | null;
}

export interface PasswordChange {
  current_password: string;
  new_password: string;
}

export interface PasswordReset {
  code: string;
  new_password: string;
}

export interface PersonJson {
  id: string;
  username: string;
  display_name: string;
  kind: "human" | "assistant" | "bot";
}

export interface Ping {
  ref: string;
  type: "ping";
}

/** chat_id: of the other chat that it stands in, where this one is forked from it. */
export interface PlaceJson {
  chat_id?: string;
  message_id: string;
  seq: number;
}

export interface Pong {
  type: "pong";
  ref: string;
}

/** To one's own sessions: the preferences as they are now, whole. */
export interface PreferencesChanged {
  type: "preferences.changed";
  preferences: Record<string, unknown>;
}

/** RFC 9457. `policies`: ids of the policies that refused. */
export interface ProblemJson {
  code: string;
  detail: string;
  policies?: string[];
  retry_after_ms?: number;
  status: number;
  title: string;
  type: string;
}

/** email: where letters go; empty: nowhere. */
export interface ProfileChanges {
  display_name?: string | null;
  email?: string | null;
  preferences?: Record<string, unknown> | null;
}

export interface PromptChanges {
  name?: string | null;
  shared?: boolean | null;
  text?: string | null;
}

/** variables: the gaps in its text, `{{name}}`, each once, in order. shared: seen by all. */
export interface PromptJson {
  id: string;
  name: string;
  shared: boolean;
  text: string;
  variables: string[];
}

/** How an answer came about. context: the messages that the model was sent, oldest first; summary: what it was sent of those above them. remarks: to its question, while it waited. policies: those that let it be asked. model: as it named itself. */
export interface ProvenanceJson {
  assistant_id: string;
  attempts: AttemptJson[];
  context: PlaceJson[];
  cost: number | null;
  model: string;
  parameters: Record<string, unknown>;
  policies: string[];
  provider: string;
  remarks: string[];
  summary: SummaryJson | null;
  usage: UsageJson | null;
  version: number;
}

/** Where one signs in beside here. start_url: where the browser goes, with `?return_to=` a path of ours. */
export interface ProviderJson {
  id: string;
  name: string;
  start_url: string;
}

export interface ProvidersJson {
  password: boolean;
  providers: ProviderJson[];
  registration: "open" | "invite" | "closed";
}

/** status: 201 made, 200 as it shall be, else why not, with its code. */
export interface PutUserJson {
  code?: string;
  external_id: string;
  id: string;
  status: number;
}

export interface PutUsersJson {
  items: PutUserJson[];
}

/** name: `replies_per_hour`, `replies_per_day` or `tokens_per_day`. */
export interface QuotaJson {
  limit: number;
  name: string;
  resets_at: string;
  used: number;
}

/** A person's own, in place of the settings'; 0: none; null: the settings' again. */
export interface Quotas {
  replies_per_day?: number | null;
  replies_per_hour?: number | null;
  tokens_per_day?: number | null;
}

export interface ReactionAdd {
  ref: string;
  chat_id: string;
  message_id: string;
  command_id?: string | null;
  type: "reaction.add";
  emoji: string;
}

export interface ReactionAdded {
  chat_id: string;
  seq: number;
  at: string;
  actor_id: string | null;
  command_id?: string;
  type: "reaction.added";
  message_id: string;
  emoji: string;
  user_id: string;
}

export interface ReactionJson {
  emoji: string;
  count: number;
  user_ids: string[];
}

export interface ReactionRemove {
  ref: string;
  chat_id: string;
  message_id: string;
  command_id?: string | null;
  type: "reaction.remove";
  emoji: string;
}

export interface ReactionRemoved {
  chat_id: string;
  seq: number;
  at: string;
  actor_id: string | null;
  command_id?: string;
  type: "reaction.removed";
  message_id: string;
  emoji: string;
  user_id: string;
}

export interface ReadJson {
  read_seq: number;
  unread: number;
}

export interface ReadMark {
  ref: string;
  chat_id: string;
  type: "read.mark";
  seq: number;
}

export interface ReadMarked {
  type: "read.marked";
  chat_id: string;
  user_id: string;
  read_seq: number;
}

export interface ReadSeq {
  seq: number;
}

/** status: ready, degraded (something can't be done), draining or unavailable (nothing can). parts: of each ok, or why not. */
export interface ReadyJson {
  parts: Record<string, unknown>;
  status: "ready" | "degraded" | "draining" | "unavailable";
}

export interface Registration {
  display_name?: string | null;
  invitation?: string | null;
  password: string;
  username: string;
}

/** The rules refuse it, for ever: a new try takes a new id. policies: which decided. */
export interface Rejected {
  type: "rejected";
  ref?: string;
  chat_id: string;
  client_message_id?: string;
  command_id?: string;
  code: "bad_json" | "unknown_type" | "invalid" | "empty" | "too_large" | "unauthenticated" | "not_found" | "not_allowed" | "muted" | "banned" | "archived" | "conflict" | "rate_limited" | "quota_exceeded" | "unavailable" | "outcome_unknown";
  reason: string;
  policies: string[];
}

/** A piece of an answer. attempt from 1; index from 0 without gaps; a higher attempt starts the text again. */
export interface ReplyDelta {
  type: "reply.delta";
  chat_id: string;
  message_id: string;
  attempt: number;
  index: number;
  text: string;
}

/** An answer moved up in its chat's queue: so many are before it; at 0 its turn has come. */
export interface ReplyQueued {
  type: "reply.queued";
  chat_id: string;
  message_id: string;
  queue: number;
}

export interface ReplyRegenerate {
  ref: string;
  chat_id: string;
  message_id: string;
  command_id?: string | null;
  type: "reply.regenerate";
}

/** The text so far, for who comes late or lost a delta: deltas go on at next_index. */
export interface ReplySnapshot {
  type: "reply.snapshot";
  chat_id: string;
  message_id: string;
  attempt: number;
  next_index: number;
  text: string;
}

export interface ReplySteer {
  ref: string;
  chat_id: string;
  message_id: string;
  command_id?: string | null;
  type: "reply.steer";
  text: string;
}

/** A remark to an answer whose turn hasn't come. text: empty where the question or the answer is deleted. */
export interface ReplySteered {
  chat_id: string;
  seq: number;
  at: string;
  actor_id: string | null;
  command_id?: string;
  type: "reply.steered";
  message_id: string;
  text: string;
}

export interface ReplyStop {
  ref: string;
  chat_id: string;
  message_id: string;
  command_id?: string | null;
  type: "reply.stop";
}

/** The model thinks before it answers: so many characters by now, which are no part of the answer. */
export interface ReplyThinking {
  type: "reply.thinking";
  chat_id: string;
  message_id: string;
  attempt: number;
  chars: number;
}

/** The model's provider can't answer just now, and is asked again; instead: its fallback, which is asked from now on. */
export interface ReplyWaiting {
  type: "reply.waiting";
  chat_id: string;
  message_id: string;
  attempt: number;
  code: "rate_limited" | "unavailable" | "timeout" | "cut" | "bad_answer" | "quota" | "unauthorized" | "not_found" | "empty";
  retry_in_ms: number;
  instead?: string;
}

export interface ReportChanges {
  closed: true;
  note?: string;
}

/** What a person told operators of a message. closed_by: the operator who dealt with it; note: what they wrote of it. */
export interface ReportJson {
  at: string;
  chat_id: string;
  closed_at: string | null;
  closed_by: string | null;
  id: string;
  message_id: string;
  note: string | null;
  reason: string;
  reporter_id: string;
}

/** Load the chat back from head by REST; live goes on at head + 1. */
export interface Reset {
  type: "reset";
  ref?: string;
  chat_id: string;
  head: number;
  code: "too_far" | "ahead" | "epoch" | "rejoined";
}

export interface Resume {
  epoch: string;
  chats: Record<string, unknown>;
}

/** current: the one that asks. last_used_at: of its last refresh. client: what the program called itself. */
export interface SessionJson {
  client: string;
  created_at: string;
  current: boolean;
  id: string;
  last_used_at: string | null;
}

/** What is the same for all members: the chat as it stands in events. history, assistant_consent: of groups. */
export interface SharedChatJson {
  id: string;
  kind: "direct" | "group" | "assistant";
  title: string | null;
  archived: boolean;
  created_at: string;
  created_by: string;
  head: number;
  members_count: number;
  assistant?: AssistantJson;
  assistant_consent?: AgreedJson | null;
  history?: "all" | "from_joining";
  local_only: boolean;
  forked_from?: ForkJson;
}

export interface StatusJson {
  status: string;
}

/** What was said from one seq through another, summed up by a model. */
export interface SummaryJson {
  body: string;
  from_seq: number;
  to_seq: number;
}

export interface Sync {
  ref: string;
  type: "sync";
  chats: Record<string, unknown>;
}

/** All missed events of a named chat were given; live goes on. */
export interface Synced {
  type: "synced";
  ref?: string;
  chat_id: string;
  head: number;
}

export interface TicketJson {
  expires_in: number;
  ticket: string;
}

export interface TimelineJson {
  has_more: boolean;
  head: number;
  items: EventJson[];
}

export interface TokensJson {
  access_token: string;
  expires_in: number;
  refresh_token?: string;
  token_type: "bearer";
  user: UserJson;
}

export interface Typing {
  type: "typing";
  chat_id: string;
}

export interface TypingSignal {
  type: "typing";
  chat_id: string;
  user_id: string;
  expires_in_ms: number;
}

export interface UsageJson {
  prompt_tokens: number;
  completion_tokens: number;
}

/** What answers took, newest day first; and the quotas that are set. */
export interface UseJson {
  items: DayOfUseJson[];
  quotas: QuotaJson[];
}

/** A user as the host has them; what isn't named stays as it is. */
export interface UserChanges {
  attributes?: Record<string, unknown> | null;
  disabled?: boolean | null;
  display_name?: string | null;
  username?: string | null;
}

/** Oneself. */
export interface UserJson {
  id: string;
  username: string;
  display_name: string;
  kind: "human" | "assistant" | "bot";
  role: "user" | "operator";
  email: string | null;
  preferences: Record<string, unknown>;
}

export interface UserOfMany {
  attributes?: Record<string, unknown> | null;
  disabled?: boolean | null;
  display_name?: string | null;
  external_id: string;
  username?: string | null;
}

/** To everyone who shares a chat with them, and to their own sessions: apply it to what is shown of them. */
export interface UserUpdated {
  type: "user.updated";
  user: PersonJson;
}

/** The key of a host that says it for its sender. */
export interface ViaJson {
  key_id: string;
  name: string;
}

/** The first frame. chats: the 200 latest and all named in resume; live events begin at their head. */
export interface Welcome {
  type: "welcome";
  session_id: string;
  user: UserJson;
  epoch: string;
  heartbeat_s: number;
  limits: LimitsJson;
  chats: ChatJson[];
  chats_more: boolean;
}

/** An event of a newer version: advance past its seq. */
export interface UnknownEvent {
  type: string;
  chat_id: string;
  seq: number;
  at: string;
  actor_id: string;
}

export type DurableEvent =
  | ChatCreated
  | ChatUpdated
  | MemberAdded
  | MemberUpdated
  | MemberRemoved
  | MemberUnbanned
  | MessageCreated
  | MessageEdited
  | MessageDeleted
  | ReactionAdded
  | ReactionRemoved
  | MessagePinned
  | MessageUnpinned
  | MessageCompleted
  | ReplySteered;

export type Signal =
  | PreferencesChanged
  | UserUpdated
  | ChatHidden
  | ReadMarked
  | ReplyDelta
  | ReplySnapshot
  | ReplyQueued
  | ReplyThinking
  | ReplyWaiting
  | AssistantSilent
  | TypingSignal
  | AuthExpiring;

export type Answer =
  | Welcome
  | Synced
  | Reset
  | Gone
  | Accepted
  | Committed
  | Rejected
  | Ok
  | Pong
  | Error
  | ChatJoined
  | Draining;

export type SocketRequest =
  | Hello
  | Sync
  | ReadMark
  | AuthRefresh
  | Ping
  | Typing
  | MessageSend
  | MessageEdit
  | MessageDelete
  | ReactionAdd
  | ReactionRemove
  | MessagePin
  | MessageUnpin
  | ReplyStop
  | ReplyRegenerate
  | ReplySteer;

export const DURABLE_TYPES = ["chat.created", "chat.updated", "member.added", "member.updated", "member.removed", "member.unbanned", "message.created", "message.edited", "message.deleted", "reaction.added", "reaction.removed", "message.pinned", "message.unpinned", "message.completed", "reply.steered"] as const;

export type Frame = DurableEvent | Signal | Answer;
