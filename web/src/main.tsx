import { createRoot } from "react-dom/client";
import "./style.css";
import { App } from "./ui/app";
import { attended } from "./ui/attended";
import { speak, wanted } from "./ui/i18n";
import { parley, usePage } from "./ui/store";

await speak(wanted(localStorage.getItem("parley language")));
createRoot(document.getElementById("app")!).render(<App />);
attended();

async function begin(): Promise<void> {
  try {
    usePage.setState({ phase: await parley.resume() });
  } catch {
    usePage.setState({ phase: "unreachable" });
    setTimeout(() => void begin(), 2_000);
  }
}
void begin();
