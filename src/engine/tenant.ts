/** Identity comes with authentication; until then everything belongs to one tenant. */
export const onlyTenant = "default";
