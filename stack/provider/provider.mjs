// A real OpenID provider on loopback, for tests: node provider.mjs '{"port": …, "clients": […], "audience": "parley"}'
// Its own pages for development take any name, and no password.
import Provider from "oidc-provider";

const { port, clients, audience } = JSON.parse(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;
const provider = new Provider(issuer, {
  clients,
  claims: { openid: ["sub"], profile: ["name", "preferred_username"], email: ["email"] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, name: `${id} of the company`, preferred_username: id, email: `${id}@example.org` }),
  }),
  fetch: (url, options) => globalThis.fetch(url, { ...options, dispatcher: undefined }), // its own refuses loopback
  pkce: { required: () => true },
  cookies: { keys: ["a key of a test"] },
  ttl: { AccessToken: 3600, IdToken: 3600, Session: 3600, Grant: 3600, Interaction: 3600 },
  features: {
    devInteractions: { enabled: true },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => `urn:${audience}`,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({ scope: "openid profile email", audience, accessTokenFormat: "jwt", accessTokenTTL: 3600 }),
    },
  },
});
for (const what of ["success", "error"]) {
  provider.on(`backchannel.${what}`, (_, error) => console.log(`backchannel ${what}`, what === "error" ? error : ""));
}
provider.on("server_error", (_, error) => console.error(error));
provider.listen(port, "127.0.0.1", () => console.log(`the provider is at ${issuer}`));
