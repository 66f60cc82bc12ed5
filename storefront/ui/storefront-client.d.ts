/** The types of storefront-client.js. A test compares the exported names of the two. */

/** `waiting`: it comes back by itself. `offline`: it has been trying for a while, and goes on. */
export type ConnectionState = "connecting" | "live" | "waiting" | "offline" | "closed";

/**
 * Why a connection is not live: the connection ended (`lost`), died without an end (`silent`), was
 * answered with an error (`refused`); the browser has no network; or what the server said.
 */
export type Reason =
  | "" | "lost" | "silent" | "refused" | "network"
  | "shutdown" | "superseded" | "busy" | "reauthenticate";

interface AnyEvent {
  readonly customerId: string;
  /** ISO 8601, up to seven digits after the second. */
  readonly occurredAt: string;
  /** W3C trace context, where the service traces. */
  readonly traceparent?: string;
}

export interface CartUpdated extends AnyEvent {
  readonly eventType: "cart-updated";
  readonly cartId: string;
  readonly itemCount: number;
  readonly totalAmount: number;
}

export interface OrderStatusChanged extends AnyEvent {
  readonly eventType: "order-status-changed";
  readonly orderId: string;
  readonly newStatus: string;
}

export interface ShipmentStatusChanged extends AnyEvent {
  readonly eventType: "shipment-status-changed";
  readonly shipmentId: string;
  readonly orderId: string;
  readonly newStatus: string;
  readonly trackingNumber: string | null;
}

export interface ReturnStatusChanged extends AnyEvent {
  readonly eventType: "return-status-changed";
  readonly returnId: string;
  readonly orderId: string;
  readonly newStatus: string;
  readonly details: string | null;
}

export type StorefrontEvent =
  | CartUpdated | OrderStatusChanged | ShipmentStatusChanged | ReturnStatusChanged;

export interface ClientOptions {
  /** Of the stream; `/sse/storefront` of the page's own host where it is left out. */
  url?: string;
  /** Tabs of one name share a stream: the customer's id, where people change places at a browser. */
  name?: string;
  /** `false`: this tab has a stream of its own. */
  shared?: boolean;
  /** Where to go on from: a view's `meta.streamPosition`. */
  lastEventId?: string;
  /** What is shown, in the page's own words: URLs or names. Handed to `onReset`. */
  views?: readonly string[];
  /** Each event once, in the order of the log. */
  onEvent?(event: StorefrontEvent): void;
  /**
   * What is shown may be out of date: fetch these views again. `fresh`: the stream has just begun.
   * `reset`: the server cannot replay what was missed. `gap`: a number is missing.
   */
  onReset?(views: readonly string[], why: { reason: "fresh" | "reset" | "gap" }): void;
  /** For a light on the page. */
  onState?(state: ConnectionState, how: { reason: Reason; leading: boolean }): void;
  /** Every control frame, for whoever wants to look on. */
  onControl?(name: string, data: Record<string, unknown>): void;
  /** Get a new cookie; called before the token expires, and before a refused stream is tried again. */
  signIn?(): unknown;
  /** A page of another origin: get a ticket from `POST /sse/tickets`. */
  ticket?(): Promise<string> | string;
}

export declare class StorefrontClient {
  constructor(options?: ClientOptions);
  readonly state: ConnectionState;
  /** The id of the last event that was delivered, or where the stream stood when it began. */
  readonly position: string;
  /** Whether this tab has the browser's stream. */
  readonly leading: boolean;
  open(): void;
  close(): void;
  newest(event: StorefrontEvent): boolean;
  fetchView(url: string | URL, event?: { traceparent?: string } | null, init?: RequestInit): Promise<Response>;
}

export declare class Newest {
  accepts(event: StorefrontEvent): boolean;
}
