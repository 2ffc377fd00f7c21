/** The few pieces that all of it is made of. What opens is loaded when it opens. */
import { useLocation } from "wouter";
import { t } from "./i18n";
import { Icon } from "./icons";
import { lazy, Suspense, useRef, useState, type ReactNode } from "react";

const MenuPopup = lazy(() => import("./menu"));

export interface Choice {
  words: string;
  act: () => void;
  danger?: boolean;
}

export function Menu({ label, className, choices, children }: { label: string; className?: string; choices: Choice[]; children: ReactNode }): ReactNode {
  const [open, setOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  return (
    <>
      <button type="button" ref={button} className={className ?? "icon"} aria-label={label} title={label} aria-haspopup="menu" aria-expanded={open} onClick={() => setOpen(!open)}>
        {children}
      </button>
      {open && (
        <Suspense fallback={null}>
          <MenuPopup anchor={button} choices={choices} onClose={() => setOpen(false)} />
        </Suspense>
      )}
    </>
  );
}

export function IconButton({ label, children, onClick, pressed, className }: { label: string; children: ReactNode; onClick: () => void; pressed?: boolean; className?: string }): ReactNode {
  return (
    <button type="button" className={className ?? "icon"} aria-label={label} title={label} aria-pressed={pressed} onClick={onClick}>
      {children}
    </button>
  );
}

/** On a phone, where the list isn't beside it. */
export function Back(): ReactNode {
  const [, go] = useLocation();
  return (
    <IconButton label={t("Back to the chats")} className="icon back" onClick={() => go("/")}>
      <Icon name="back" />
    </IconButton>
  );
}
