/** Words in the reader's language. A message's id is its English text; a catalogue is loaded when it is wanted. */
import { i18n } from "@lingui/core";
import { compileMessage } from "@lingui/message-utils/compileMessage";

i18n.setMessagesCompiler(compileMessage);

export const LANGUAGES: Record<string, { name: string; dir: "ltr" | "rtl" }> = {
  en: { name: "English", dir: "ltr" },
  ar: { name: "العربية", dir: "rtl" },
};

export function wanted(chosen?: string | null): string {
  for (const tag of [chosen, ...navigator.languages]) {
    const language = tag?.split("-")[0] ?? "";
    if (language in LANGUAGES) return language;
  }
  return "en";
}

export async function speak(language: string): Promise<void> {
  const messages: Record<string, string> = language === "ar" ? (await import("../catalogues/ar.json")).default : {};
  i18n.loadAndActivate({ locale: language, locales: [...navigator.languages.filter((tag) => tag.split("-")[0] === language), language], messages });
  document.documentElement.lang = language;
  document.documentElement.dir = LANGUAGES[language]!.dir;
}

/** values: for {name} in the text. Plurals as ICU has them. */
export function t(text: string, values?: Record<string, unknown>): string {
  return i18n._({ id: text, message: text, values });
}

export function time(at: string | number): string {
  return i18n.date(new Date(at), { hour: "2-digit", minute: "2-digit" });
}

export function day(at: string): string {
  const date = new Date(at);
  const away = Math.round((startOfDay(new Date()) - startOfDay(date)) / 86_400_000);
  if (away === 0) return t("Today");
  if (away === 1) return t("Yesterday");
  return i18n.date(date, { weekday: "long", day: "numeric", month: "long", ...(away > 300 ? { year: "numeric" } : {}) });
}

export function dateTime(at: string): string {
  return i18n.date(new Date(at), { dateStyle: "medium", timeStyle: "short" });
}

function startOfDay(date: Date): number {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
}
