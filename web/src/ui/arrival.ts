/** What the address says of how somebody came here: by an invitation, a link for a new password, or another issuer's page. What
 * stands behind the `#` is read once, and taken out of the address. */
import { BASE } from "./store";

const KEPT = `parley invitation ${BASE}`;

export interface Arrival {
  /** Good once, for a session. */
  code?: string;
  /** Of a link to set a new password. */
  reset?: string;
  /** Why another issuer's page gave none. */
  error?: string;
}

export function arrival(): Arrival {
  const said = new URLSearchParams(location.hash.slice(1));
  const [code, error] = [said.get("code") ?? undefined, said.get("error") ?? undefined];
  if (!code && !error) return {};
  const path = location.pathname.slice(BASE.length);
  const isLink = path === "/invitation" || path === "/password";
  history.replaceState(null, "", isLink ? `${BASE}/` : location.pathname + location.search);
  if (path === "/invitation") {
    if (code) sessionStorage.setItem(KEPT, code);
    return {};
  }
  return path === "/password" ? { reset: code } : { code, error };
}

/** The invitation that this tab came by; it stays through signing in. */
export const invitation = {
  get code(): string | null {
    return sessionStorage.getItem(KEPT);
  },
  forget(): void {
    sessionStorage.removeItem(KEPT);
  },
};
