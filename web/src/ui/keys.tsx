/** All keys. */
import type { ReactNode } from "react";
import { t } from "./i18n";
import { Dialog } from "./dialog";
import { preferences, usePage } from "./store";

export default function Keys(): ReactNode {
  const sends = preferences().send_with === "ctrl-enter" ? "Ctrl-Enter" : "Enter";
  const keys: [string, string][] = [
    ["Ctrl-K", t("Search chats, people, messages, commands")],
    ["?", t("All keys")],
    ["n", t("New chat")],
    ["/", t("To the message box")],
    ["Alt-↑ Alt-↓", t("The chat above, below")],
    ["Ctrl-,", t("Settings")],
    [sends, t("Send")],
    ["Shift-Enter", t("A new line")],
    ["↑", t("Edit the last message (in an empty box)")],
    ["Esc", t("Leave an edit, an answer, a dialog")],
    ["@", t("Name a person or the assistant")],
    ["Tab", t("From message to message and to what one can do with each")],
  ];
  return (
    <Dialog open onClose={() => usePage.setState({ menu: "none" })} title={t("Keys")}>
      <dl className="keys">
        {keys.map(([key, words]) => (
          <div key={key}><dt><kbd>{key}</kbd></dt><dd>{words}</dd></div>
        ))}
      </dl>
    </Dialog>
  );
}
