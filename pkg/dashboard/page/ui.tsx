import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { toAddress } from './format.ts';

export type Tone = 'ok' | 'bad' | 'warn' | 'shadow' | 'neutral';

/** A word in a coloured pill; the mark tells the tone to those who don't see colours. */
export function Badge({
  tone,
  title,
  children,
}: {
  tone: Tone;
  title?: string;
  children: ComponentChildren;
}): JSX.Element {
  return (
    <span class={`badge ${tone}`} title={title}>
      <span aria-hidden="true">{marks[tone]}</span>
      {children}
    </span>
  );
}

const marks: Readonly<Record<Tone, string>> = {
  ok: '✓',
  bad: '✖',
  warn: '!',
  shadow: '◐',
  neutral: '·',
};

interface CardProps {
  readonly id: string;
  readonly title: string;
  /** Stands beside the title: a count, a choice. */
  readonly aside?: ComponentChildren;
  readonly children: ComponentChildren;
}

export function Card({ id, title, aside, children }: CardProps): JSX.Element {
  return (
    <section class="card" id={id} aria-labelledby={`${id}-title`}>
      <div class="card-head">
        <h2 id={`${id}-title`}>{title}</h2>
        {aside}
      </div>
      {children}
    </section>
  );
}

/** What to do where there is nothing to see. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }): JSX.Element {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children}
    </div>
  );
}

/** A command line that can be copied. */
export function Command({ text }: { text: string }): JSX.Element {
  return (
    <div class="command">
      <code>{text}</code>
      <CopyButton text={text} />
    </div>
  );
}

export function CopyButton({ text, label = 'Copy' }: { text: string; label?: string }): JSX.Element {
  const [copied, setCopied] = useState(false);
  const timer = useRef<ReturnType<typeof setTimeout>>();
  useEffect(() => () => clearTimeout(timer.current), []);
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
      timer.current = setTimeout(() => setCopied(false), 1_500);
    } catch {
      setCopied(false);
    }
  };
  return (
    <button type="button" class="copy" onClick={() => void copy()} aria-label={`${label}: ${text}`}>
      <span aria-live="polite">{copied ? 'Copied' : label}</span>
    </button>
  );
}

interface ChoiceProps<T extends string> {
  readonly label: string;
  readonly value: T;
  readonly options: readonly {
    readonly value: T;
    readonly text: ComponentChildren;
  }[];
  readonly onChange: (value: T) => void;
}

/** One of a few: a radio group in the dress of a segmented button. */
export function Choice<T extends string>({ label, value, options, onChange }: ChoiceProps<T>): JSX.Element {
  return (
    <div class="choice" role="radiogroup" aria-label={label}>
      {options.map((option) => (
        <label key={option.value} class={option.value === value ? 'chosen' : ''}>
          <input
            type="radio"
            name={label}
            value={option.value}
            checked={option.value === value}
            onChange={() => onChange(option.value)}
          />
          {option.text}
        </label>
      ))}
    </div>
  );
}

/** `name.namespace:port` of a Service; it breaks where its parts meet. */
export function Address({ of }: { of: string }): JSX.Element {
  const [host = '', port] = toAddress(of).split(':');
  const [name, ...rest] = host.split('.');
  return (
    <span class="name">
      {name}
      <wbr />
      {rest.length > 0 && `.${rest.join('.')}`}
      {port !== undefined && (
        <>
          <wbr />:{port}
        </>
      )}
    </span>
  );
}

/** `namespace/name`, the namespace in the background. */
export function Name({ of }: { of: string }): JSX.Element {
  const slash = of.indexOf('/');
  if (of === '') return <span class="name muted">outside</span>;
  return (
    <span class="name">
      {slash < 0 ? null : <span class="namespace">{of.slice(0, slash + 1)}</span>}
      <wbr />
      {of.slice(slash + 1)}
    </span>
  );
}
