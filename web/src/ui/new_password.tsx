/** A new password, by a link that is good once. */
import { useState, type FormEvent, type ReactNode } from "react";
import { t } from "./i18n";
import { inWords, parley, usePage } from "./store";

export default function NewPassword({ code }: { code: string }): ReactNode {
  const [problem, setProblem] = useState("");
  const [done, setDone] = useState(false);
  async function submit(event: FormEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault();
    setProblem("");
    try {
      const new_password = String(new FormData(event.currentTarget).get("new"));
      await parley.rest.json("POST", "v1/auth/password-reset", { body: { code, new_password }, signed: false });
      setDone(true);
    } catch (error) {
      setProblem(inWords(error));
    }
  }
  return (
    <main className="centred auth">
      <h1>{t("A new password")}</h1>
      {done ? (
        <p role="status">{t("It is set, and all sessions are over.")}</p>
      ) : (
        <form onSubmit={(event) => void submit(event)} aria-label={t("A new password")}>
          <label>{t("New password")}<input name="new" type="password" autoComplete="new-password" minLength={10} maxLength={256} required autoFocus /></label>
          <p className="quiet small">{t("At least 10 characters.")}</p>
          {problem && <p role="alert" className="bad">{problem}</p>}
          <button type="submit" className="main">{t("Set the password")}</button>
        </form>
      )}
      <button type="button" className="link" onClick={() => usePage.setState({ reset: "" })}>{done ? t("Sign in") : t("Not now")}</button>
    </main>
  );
}
