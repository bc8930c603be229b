/** `holdfast/testing`: what a test of an agent needs in place of a model, a provider and time. */
export {
  type MockCall,
  type MockFault,
  type MockMessage,
  type MockProvider,
  type MockProviderOptions,
  type MockReply,
  type MockRequest,
  type MockScript,
  type MockStep,
  type MockUsage,
  startMockProvider,
} from "./mock-provider.ts";
export { type GatewayScript, type ScriptedGateway, type ScriptedTurn, scriptedGateway } from "./scripted-model.ts";
export { createVirtualClock, type VirtualClock } from "./virtual-clock.ts";
