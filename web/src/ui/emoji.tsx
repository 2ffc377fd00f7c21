/** A picker of emoji that people use most, each with its English name. */
import { useEffect, useRef, type ReactNode } from "react";
import { t } from "./i18n";

const EMOJI: [string, string][] = [
  ["👍", "thumbs up"], ["👎", "thumbs down"], ["❤️", "red heart"], ["😂", "face with tears of joy"], ["😀", "grinning face"], ["😊", "smiling face"],
  ["😉", "winking face"], ["😍", "smiling face with heart-eyes"], ["🤔", "thinking face"], ["😮", "face with open mouth"], ["😢", "crying face"], ["😡", "enraged face"],
  ["🙏", "folded hands"], ["👏", "clapping hands"], ["🙌", "raising hands"], ["👀", "eyes"], ["🎉", "party popper"], ["🔥", "fire"],
  ["✅", "check mark button"], ["❌", "cross mark"], ["➕", "plus"], ["💯", "hundred points"], ["🚀", "rocket"], ["⭐", "star"],
  ["💡", "light bulb"], ["❓", "red question mark"], ["❗", "red exclamation mark"], ["☕", "hot beverage"], ["🍵", "teacup without handle"], ["🍰", "shortcake"],
  ["👋", "waving hand"], ["🤝", "handshake"], ["💪", "flexed biceps"], ["😴", "sleeping face"], ["🤷", "person shrugging"], ["🐛", "bug"],
];

export default function Emoji({ onPick, onClose }: { onPick: (emoji: string) => void; onClose: () => void }): ReactNode {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const from = document.activeElement as HTMLElement | null;
    const held = box.current;
    held?.querySelector("button")?.focus();
    const away = (event: Event) => {
      if (!box.current?.contains(event.target as Node)) onClose();
    };
    document.addEventListener("pointerdown", away);
    return () => {
      document.removeEventListener("pointerdown", away);
      if (!document.activeElement || document.activeElement === document.body || held?.contains(document.activeElement)) from?.focus();
    };
  }, []);
  return (
    <div ref={box} className="emoji" role="dialog" aria-label={t("React")} onKeyDown={(event) => event.key === "Escape" && onClose()}>
      {EMOJI.map(([emoji, name]) => (
        <button type="button" key={emoji} aria-label={name} title={name} onClick={() => onPick(emoji)}>{emoji}</button>
      ))}
    </div>
  );
}
