import { createRoot } from "react-dom/client";
import "./style.css";
import { App } from "./ui/app";
import { attended } from "./ui/attended";
import { arrival } from "./ui/arrival";
import { speak, t, wanted } from "./ui/i18n";
import { inWords, parley, usePage } from "./ui/store";

await speak(wanted(localStorage.getItem("parley language")));
createRoot(document.getElementById("app")!).render(<App />);
attended();

const came = arrival();
usePage.setState({ reset: came.reset ?? "", arrived: came.error ? t("Signing in there didn't work: {why}", { why: came.error }) : "" });

async function begin(): Promise<void> {
  try {
    if (came.code) {
      const code = came.code;
      came.code = undefined; // good once
      await parley.signInByCode(code).catch((error: unknown) => usePage.setState({ arrived: inWords(error) }));
    }
    usePage.setState({ phase: parley.user ? "signed in" : await parley.resume() });
  } catch {
    usePage.setState({ phase: "unreachable" });
    setTimeout(() => void begin(), 2_000);
  }
}
void begin();
