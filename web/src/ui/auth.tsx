/** Sign in, here or at another issuer's page, or make an account. */
import { useEffect, useState, type FormEvent, type ReactNode } from "react";
import type { ProvidersJson } from "../client";
import { invitation } from "./arrival";
import { t } from "./i18n";
import { BASE, inWords, parley, usePage } from "./store";

type What = "sign in" | "register" | "forgotten";

export function Auth(): ReactNode {
  const [what, setWhat] = useState<What>("sign in");
  const { arrived } = usePage();
  const [problem, setProblem] = useState(arrived);
  const [sent, setSent] = useState(false);
  const [busy, setBusy] = useState(false);
  const [ways, setWays] = useState<ProvidersJson | null>(null);
  useEffect(() => {
    parley.rest.json<ProvidersJson>("GET", "v1/auth/providers", { signed: false }).then(setWays, () => undefined);
  }, []);
  const registers = ways === null || ways.registration === "open" || (ways.registration === "invite" && invitation.code !== null);
  const making = what === "register";

  async function submit(event: FormEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const [username, password] = [String(form.get("username")).trim(), String(form.get("password"))];
    setBusy(true);
    setProblem("");
    try {
      if (what === "forgotten") {
        await parley.rest.json("POST", "v1/auth/password-forgotten", { body: { username }, signed: false });
        setSent(true);
        return;
      }
      if (making) await parley.register(username, password, String(form.get("display_name") ?? "").trim() || undefined, invitation.code ?? undefined);
      else await parley.signIn(username, password);
      usePage.setState({ phase: "signed in" });
    } catch (error) {
      setProblem(inWords(error));
    } finally {
      setBusy(false);
    }
  }
  const change = (to: What) => { setWhat(to); setProblem(""); setSent(false); };
  const names = { "sign in": t("Sign in"), register: t("Create an account"), forgotten: t("A new password") };

  return (
    <main className="centred auth">
      <h1>Parley</h1>
      <p className="quiet">{t("Talk with people and with an assistant, in one place that loses nothing.")}</p>
      {invitation.code && <p role="status">{t("You are invited: sign in, or create an account, and you come to where the link leads.")}</p>}
      {parley.endedElsewhere && !problem && <p role="status">{t("You were signed out elsewhere, or the session is over. What you wrote and couldn't send is kept for you.")}</p>}
      {ways?.providers.map((one) => (
        <a key={one.id} className="main button" href={`${BASE}${one.start_url}?return_to=${encodeURIComponent(location.pathname + location.search)}`}>{t("Sign in with {name}", { name: one.name })}</a>
      ))}
      {ways?.password !== false && (
        <form onSubmit={(event) => void submit(event)} aria-label={names[what]}>
          <label>
            {t("Username")}
            <input name="username" autoComplete="username" required minLength={3} maxLength={32} autoCapitalize="none" spellCheck={false} autoFocus dir="ltr" />
          </label>
          {making && (
            <label>
              {t("Name that others see (optional)")}
              <input name="display_name" autoComplete="name" maxLength={100} dir="auto" />
            </label>
          )}
          {what !== "forgotten" && (
            <label>
              {t("Password")}
              <input name="password" type="password" autoComplete={making ? "new-password" : "current-password"} required minLength={making ? 10 : 1} maxLength={256} />
            </label>
          )}
          {making && <p className="quiet small">{t("At least 10 characters.")}</p>}
          {problem && <p role="alert" className="bad">{problem}</p>}
          {sent && <p role="status">{t("If you gave an address, and letters are sent here, a link is on its way to it. Else an operator can make you one.")}</p>}
          <button type="submit" className="main" disabled={busy}>
            {making ? t("Create account") : what === "forgotten" ? t("Send me a link") : t("Sign in")}
          </button>
        </form>
      )}
      {ways?.password === false && problem && <p role="alert" className="bad">{problem}</p>}
      {ways?.password !== false && (
        <p className="links">
          {what !== "sign in" && <button type="button" className="link" onClick={() => change("sign in")}>{t("I have an account: sign in")}</button>}
          {what === "sign in" && registers && <button type="button" className="link" onClick={() => change("register")}>{t("New here? Create an account")}</button>}
          {what === "sign in" && <button type="button" className="link" onClick={() => change("forgotten")}>{t("Forgot the password?")}</button>}
        </p>
      )}
      <p className="quiet small"><a href={`${BASE}/about`}>{t("About this service")}</a></p>
    </main>
  );
}
