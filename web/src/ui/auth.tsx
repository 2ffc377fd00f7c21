/** Sign in, or make an account. */
import { useState, type FormEvent, type ReactNode } from "react";
import { t } from "./i18n";
import { BASE, inWords, parley, usePage } from "./store";

export function Auth(): ReactNode {
  const [making, setMaking] = useState(false);
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);

  async function submit(event: FormEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const [username, password] = [String(form.get("username")).trim(), String(form.get("password"))];
    setBusy(true);
    setProblem("");
    try {
      if (making) await parley.register(username, password, String(form.get("display_name") ?? "").trim() || undefined);
      else await parley.signIn(username, password);
      usePage.setState({ phase: "signed in" });
    } catch (error) {
      setProblem(inWords(error));
      setBusy(false);
    }
  }

  return (
    <main className="centred auth">
      <h1>Parley</h1>
      <p className="quiet">{t("Talk with people and with an assistant, in one place that loses nothing.")}</p>
      {parley.endedElsewhere && !problem && <p role="status">{t("You were signed out elsewhere, or the session is over. What you wrote and couldn't send is kept for you.")}</p>}
      <form onSubmit={(event) => void submit(event)} aria-label={making ? t("Create an account") : t("Sign in")}>
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
        <label>
          {t("Password")}
          <input name="password" type="password" autoComplete={making ? "new-password" : "current-password"} required minLength={making ? 10 : 1} maxLength={256} />
        </label>
        {making && <p className="quiet small">{t("At least 10 characters.")}</p>}
        {problem && <p role="alert" className="bad">{problem}</p>}
        <button type="submit" className="main" disabled={busy}>
          {making ? t("Create account") : t("Sign in")}
        </button>
      </form>
      <button type="button" className="link" onClick={() => { setMaking(!making); setProblem(""); }}>
        {making ? t("I have an account: sign in") : t("New here? Create an account")}
      </button>
      <p className="quiet small"><a href={`${BASE}/about`}>{t("About this service")}</a></p>
    </main>
  );
}
