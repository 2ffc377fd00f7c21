/** People's and chats' names: isolated, and with what nobody would see made visible. */
import type { ReactNode } from "react";
import type { ChatView, Parley } from "../client";
import { t } from "./i18n";

const UNSEEN = /[\p{Cf}\p{Cc}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/gu;
/** Parts of emoji, and what joins letters of some scripts. */
const MEANT = /(?<=\p{Extended_Pictographic}[\ufe0f\u{1f3fb}-\u{1f3ff}]?)\u200d(?=\p{Extended_Pictographic})|(?<=[\p{Extended_Pictographic}\d#*])\ufe0f|(?<=[\p{L}\p{M}])[\u200c\u200d](?=\p{L})/gu;

export function visible(name: string): string {
  const meant = new Set([...name.matchAll(MEANT)].map((one) => one.index));
  return name.replace(UNSEEN, (c, at: number) => (meant.has(at) ? c : `⟨U+${c.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}⟩`));
}

export function Name({ children }: { children: string }): ReactNode {
  return <bdi>{visible(children)}</bdi>;
}

export function personName(parley: Parley, userId: string | null | undefined): string {
  if (!userId) return t("Parley");
  return visible(parley.person(userId)?.display_name ?? "…");
}

export function chatName(parley: Parley, view: ChatView): string {
  const { chat } = view;
  if (chat.title) return visible(chat.title);
  if (chat.kind === "direct") {
    const other = parley.others.get(chat.id);
    return other ? personName(parley, other) : t("Direct chat");
  }
  if (chat.kind === "assistant") return chat.assistant ? personName(parley, chat.assistant.user_id) : t("Assistant");
  return t("Group");
}

/** A colour of one's own, by one's id. */
export function Avatar({ id, name, size = 32 }: { id: string; name: string; size?: number }): ReactNode {
  let hue = 0;
  for (const c of id) hue = (hue * 31 + c.charCodeAt(0)) % 360;
  const letter = [...name.replace(/^[⟨@]/, "")][0]?.toUpperCase() ?? "?";
  return (
    <span className="avatar" aria-hidden="true" data-letter={letter} style={{ "--hue": hue, width: size, height: size, fontSize: size * 0.42 } as React.CSSProperties} />
  );
}
