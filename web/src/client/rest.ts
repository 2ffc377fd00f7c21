/** Parley's REST calls. The access token is in memory alone; the refresh token in a cookie that no script reads. */
import type { TokensJson, UserJson } from "./frames";

export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly body: Record<string, unknown>,
  ) {
    super(String(body.detail ?? body.error_description ?? code));
  }
  get policies(): string[] {
    return (this.body.policies as string[] | undefined) ?? [];
  }
  get retryAfterMs(): number {
    return Number(this.body.retry_after_ms ?? 0);
  }
}

/** The session has ended: sign in anew. */
export class SignedOut extends Problem {}

/** The service can't be reached. */
export class Unreachable extends Error {}

type Query = Record<string, string | number | boolean | null | undefined>;
export interface CallOptions {
  query?: Query;
  body?: unknown;
  form?: Record<string, string>;
  key?: string;
  signed?: boolean;
}

/** How an access token is had: by the cookie of this page's origin, or by a callback of a host's page. */
export type TokenSource = () => Promise<{ access_token: string; expires_in?: number; user?: UserJson }>;

const TIMEOUT_MS = 15_000;
/** A right password may be held back for half a minute, where somebody else tried many wrong ones. */
const SIGN_IN_TIMEOUT_MS = 45_000;
/** The token is good for nothing, or there is none any more. */
const ENDS_A_REFRESH = ["invalid_grant", "invalid_request", "unauthenticated"];

export class Rest {
  user: UserJson | null = null;
  private accessToken = "";
  private expiresAt = 0;
  private refreshing: Promise<string> | null = null;

  /** root: where the service is, with a slash at its end. tokens: instead of the browser's cookie. */
  constructor(
    readonly root: string,
    private readonly tokens?: TokenSource,
  ) {}

  get socketUrl(): string {
    return this.root.replace(/^http/, "ws") + "v1/ws";
  }

  async register(username: string, password: string, displayName?: string, invitation?: string): Promise<UserJson> {
    const body = { username, password, ...(displayName ? { display_name: displayName } : {}), ...(invitation ? { invitation } : {}) };
    return this.signedIn(await this.json<TokensJson>("POST", "v1/auth/register", { body, signed: false }));
  }

  async signIn(username: string, password: string): Promise<UserJson> {
    const form = { grant_type: "password", username, password };
    return this.signedIn(await this.json<TokensJson>("POST", "v1/auth/token", { form, signed: false }));
  }

  async byCode(code: string): Promise<UserJson> {
    const form = { grant_type: "authorization_code", code };
    return this.signedIn(await this.json<TokensJson>("POST", "v1/auth/token", { form, signed: false }));
  }

  /** By the cookie. Tabs take turns. Throws SignedOut, Unreachable. */
  async refresh(): Promise<string> {
    this.refreshing ??= this.inTurn(async () => {
      if (this.tokens) {
        const got = await this.tokens();
        this.accessToken = got.access_token;
        this.expiresAt = Date.now() + (got.expires_in ?? 300) * 1000;
        this.user = got.user ?? this.user;
      } else {
        const form = { grant_type: "refresh_token" };
        this.signedIn(await this.json<TokensJson>("POST", "v1/auth/token", { form, signed: false }));
      }
      return this.accessToken;
    }).finally(() => (this.refreshing = null));
    return this.refreshing;
  }

  private async inTurn<T>(work: () => Promise<T>): Promise<T> {
    return navigator.locks && !this.tokens ? (navigator.locks.request(`parley-refresh ${this.root}`, work) as Promise<T>) : work();
  }

  private signedIn(answer: TokensJson): UserJson {
    this.accessToken = answer.access_token;
    this.expiresAt = Date.now() + answer.expires_in * 1000;
    this.user = answer.user;
    return answer.user;
  }

  forget(): void {
    this.accessToken = "";
    this.expiresAt = 0;
    this.user = null;
  }

  /** The access token isn't good any more. */
  expire(): void {
    this.expiresAt = 0;
  }

  /** One with at least a little life left. */
  async token(): Promise<string> {
    return this.accessToken && Date.now() < this.expiresAt - 10_000 ? this.accessToken : this.refresh();
  }

  /** Where the outcome isn't known in time it is asked for again, with the same key. */
  async json<T>(method: string, path: string, options: CallOptions = {}): Promise<T> {
    let key = options.key;
    for (let turn = 0; ; turn++) {
      const answer = await this.call(method, path, { ...options, key });
      const text = await answer.text();
      const body = (text ? JSON.parse(text) : null) as { command_id?: string } | null;
      if (answer.status !== 202 || !body?.command_id || turn > 5) return body as T;
      key = body.command_id;
    }
  }

  private async call(method: string, path: string, options: CallOptions): Promise<Response> {
    const signed = options.signed ?? true;
    let answer = await this.fetch(method, path, options, signed ? await this.token() : "");
    if (answer.status === 401 && signed) answer = await this.fetch(method, path, options, await this.refresh());
    if (answer.ok) return answer;
    const body = (await answer.json().catch(() => ({}))) as Record<string, unknown>;
    const code = String(body.code ?? body.error ?? "");
    if (answer.status >= 502 && !code) throw new Unreachable(String(answer.status));
    const ended = options.form?.grant_type === "refresh_token" ? ENDS_A_REFRESH.includes(code) : signed && code === "unauthenticated";
    throw new (ended ? SignedOut : Problem)(answer.status, code, body);
  }

  private async fetch(method: string, path: string, options: CallOptions, token: string): Promise<Response> {
    const url = new URL(path, this.root);
    for (const [name, value] of Object.entries(options.query ?? {})) {
      if (value !== null && value !== undefined) url.searchParams.set(name, String(value));
    }
    const headers: Record<string, string> = {};
    if (token) headers.Authorization = `Bearer ${token}`;
    if (!this.tokens && path.startsWith("v1/auth/")) headers["Parley-Session"] = "cookie";
    if (options.key) headers["Idempotency-Key"] = options.key;
    let body: BodyInit | undefined;
    if (options.form) body = new URLSearchParams(options.form);
    else if (options.body !== undefined) {
      body = JSON.stringify(options.body);
      headers["Content-Type"] = "application/json";
    }
    try {
      return await fetch(url, {
        method,
        headers,
        body,
        credentials: this.tokens ? "omit" : "same-origin",
        cache: "no-store",
        signal: AbortSignal.timeout(options.form?.grant_type === "password" ? SIGN_IN_TIMEOUT_MS : TIMEOUT_MS),
      });
    } catch {
      throw new Unreachable(path);
    }
  }

  get<T>(path: string, query?: Query): Promise<T> {
    return this.json<T>("GET", path, { query });
  }
  post<T>(path: string, body?: unknown, key?: string): Promise<T> {
    return this.json<T>("POST", path, { body, key });
  }
  put<T>(path: string, body?: unknown, key?: string): Promise<T> {
    return this.json<T>("PUT", path, { body, key });
  }
  patch<T>(path: string, body: unknown, key?: string): Promise<T> {
    return this.json<T>("PATCH", path, { body, key });
  }
  delete<T>(path: string, query?: Query): Promise<T> {
    return this.json<T>("DELETE", path, { query });
  }
}
